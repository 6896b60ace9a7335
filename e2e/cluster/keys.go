package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"time"
)

// validity of the certificates, both ways: a test may run the clock of its clients off.
const validity = 10 * 365 * 24 * time.Hour

// authority is the cluster's certificate authority.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// writeKeys makes the keys and certificates that are missing. The authority and the key of
// service account tokens are kept over restarts, so that kubeconfigs and tokens handed out stay
// good; the serving certificate is made anew, for the addresses of this start.
func writeKeys(l layout, addresses []net.IP) error {
	ca, err := loadAuthority(l)
	if errors.Is(err, fs.ErrNotExist) {
		ca, err = makeAuthority(l)
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(l.saKey()); errors.Is(err, fs.ErrNotExist) {
		// RSA as in every stock cluster: some JWT libraries take nothing else.
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return err
		}
		if err := writeKey(l.saKey(), key); err != nil {
			return err
		}
	}
	return makeServingCert(l, ca, addresses)
}

func makeAuthority(l layout) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := newTemplate("kubernetes")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("can't make the certificate authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if err := writeKey(l.caKey(), key); err != nil {
		return nil, err
	}
	return &authority{cert, key}, writePEM(l.caCert(), "CERTIFICATE", der, 0o644)
}

func loadAuthority(l layout) (*authority, error) {
	certDER, err := readPEM(l.caCert())
	if err != nil {
		return nil, err
	}
	keyDER, err := readPEM(l.caKey())
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, damaged(l.caCert(), err)
	}
	key, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return nil, damaged(l.caKey(), err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, damaged(l.caKey(), fmt.Errorf("a %T can't sign", key))
	}
	return &authority{cert, signer}, nil
}

func makeServingCert(l layout, ca *authority, addresses []net.IP) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := newTemplate("kube-apiserver")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.IPAddresses = addresses
	template.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default",
		"kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return fmt.Errorf("can't make the API server's certificate: %w", err)
	}
	if err := writeKey(l.servingKey(), key); err != nil {
		return err
	}
	return writePEM(l.servingCert(), "CERTIFICATE", der, 0o644)
}

func newTemplate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		// Time in nanoseconds is unique within one authority, which is all that is asked of it.
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-validity),
		NotAfter:     now.Add(validity),
	}
}

func writeKey(path string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "PRIVATE KEY", der, 0o600)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

func readPEM(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, damaged(path, errors.New("no PEM block in it"))
	}
	return block.Bytes, nil
}

func damaged(path string, err error) error {
	return fmt.Errorf("%s is damaged, remove the cluster's directory and start again: %w", path, err)
}
