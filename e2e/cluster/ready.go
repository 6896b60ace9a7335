package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const readyPoll = 50 * time.Millisecond

// prober asks the API server whether it is up, as the admin.
type prober struct {
	client *http.Client
	server string
	token  string
}

func newProber(o options) (*prober, error) {
	ca, err := os.ReadFile(o.files.caCert())
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	tokens, err := readTokens(o.files.tokens())
	if err != nil {
		return nil, err
	}
	return &prober{
		client: &http.Client{
			Timeout:   5 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
		},
		server: o.server(),
		token:  tokens["admin"],
	}, nil
}

// get returns nil for a 200, and otherwise what is wrong, in one line.
func (p *prober) get(ctx context.Context, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.server+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+p.token)
	request.Header.Set("User-Agent", "cluster-up")
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	if response.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("%s answers %s: %s", path, response.Status, strings.Join(strings.Fields(string(body)), " "))
}

// until polls check until it passes. When ctx ends first, the error has check's last words.
func until(ctx context.Context, check func(context.Context) error) error {
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the last check said: %v", context.Cause(ctx), err)
		case <-time.After(readyPoll):
		}
	}
}

// listening says whether anything accepts connections on a loopback port.
func listening(ctx context.Context, port int) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	return conn.Close()
}

// free says whether a port can be had. Asked before the start, since a role that finds its port
// taken says so in its log only, and a check for readiness would take the other one for ours.
func free(host string, port int, flag string) error {
	address := net.JoinHostPort(host, fmt.Sprint(port))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("can't listen on %s, stop what does or give another %s: %w", address, flag, err)
	}
	return listener.Close()
}
