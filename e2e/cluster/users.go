package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

// user is one line of the API server's token file.
type user struct {
	token  string
	name   string
	groups []string
	// file is what the user's kubeconfig is called; empty for name.
	file string
}

// builtinUsers are the users that a cluster always has. The scheduler and the controller manager
// run under the names that the API server's own roles are made for.
func builtinUsers() []user {
	return []user{
		{name: "admin", groups: []string{"system:masters"}},
		{name: "system:kube-controller-manager", file: "controller-manager"},
		{name: "system:kube-scheduler", file: "scheduler"},
	}
}

// plainName is what can be a file name as well as a user's.
var plainName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// parseUser reads NAME or NAME=GROUP,GROUP.
func parseUser(arg string) (user, error) {
	name, groups, _ := strings.Cut(arg, "=")
	if !plainName.MatchString(name) {
		return user{}, fmt.Errorf("user %q: want NAME or NAME=GROUP,GROUP, "+
			"with lower-case letters, digits, '-' and '.' in NAME", arg)
	}
	u := user{name: name}
	for _, group := range strings.Split(groups, ",") {
		if group != "" {
			u.groups = append(u.groups, group)
		}
	}
	return u, nil
}

func (u user) fileName() string {
	if u.file != "" {
		return u.file
	}
	return u.name
}

// writeUsers gives every user a token and a kubeconfig. Tokens of earlier starts are kept, users
// that are no longer named are gone.
func writeUsers(l layout, users []user, server string) error {
	known, err := readTokens(l.tokens())
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(l.caCert())
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	out := csv.NewWriter(&lines)
	for _, u := range users {
		if u.token = known[u.name]; u.token == "" {
			secret := make([]byte, 16)
			rand.Read(secret)
			u.token = hex.EncodeToString(secret)
		}
		if err := out.Write([]string{u.token, u.name, u.name, strings.Join(u.groups, ",")}); err != nil {
			return err
		}
		if err := writeFile(l.kubeconfig(u.fileName()), kubeconfig(u, server, ca), 0o600); err != nil {
			return err
		}
	}
	out.Flush()
	return writeFile(l.tokens(), lines.Bytes(), 0o600)
}

// readTokens returns the tokens of an earlier start by user name.
func readTokens(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, damaged(path, err)
	}
	tokens := make(map[string]string, len(records))
	for _, record := range records {
		if len(record) < 2 {
			return nil, damaged(path, errors.New("a line has no user name"))
		}
		tokens[record[1]] = record[0]
	}
	return tokens, nil
}

func kubeconfig(u user, server string, ca []byte) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: e2e
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %s
  user:
    token: %s
contexts:
- name: e2e
  context:
    cluster: e2e
    user: %s
current-context: e2e
`, server, base64.StdEncoding.EncodeToString(ca), u.name, u.token, u.name)
}
