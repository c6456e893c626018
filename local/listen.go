package local

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"
)

// shutdownTimeout is how long requests may take to end after a server was told to stop.
const shutdownTimeout = 5 * time.Second

// Serve answers on l in plain text, HTTP/1.1 and HTTP/2 by prior knowledge on the same port, until ctx ends. It then
// ends all subscriptions, waits up to five seconds for other requests, cuts those off that are left, closes l and returns
// nil. Any other return is an error of the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error { return s.serve(ctx, l) }

// ServeTLS is Serve under TLS with the given certificate: HTTP/2 for those who negotiate it and, as the service does, for those
// who begin with it unasked, HTTP/1.1 for others.
func (s *Server) ServeTLS(ctx context.Context, l net.Listener, cert tls.Certificate) error {
	return s.serve(ctx, &secure{l, &tls.Config{
		Certificates: []tls.Certificate{cert},
		NextProtos:   []string{"h2", "http/1.1"},
		MinVersion:   tls.VersionTLS12,
	}})
}

// secure gives out TLS connections that net/http does not know for such. On those that it knows it goes by what was negotiated;
// but the SDK for Java negotiates nothing and begins with HTTP/2 (usePriorKnowledgeForH2 in its Kinesis client). On others it
// goes by what comes.
type secure struct {
	net.Listener
	config *tls.Config
}

// Accept implements [net.Listener]. The handshake takes place at the first read.
func (l *secure) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{tls.Server(conn, l.config)}, nil
}

func (s *Server) serve(ctx context.Context, l net.Listener) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{
		Handler:     s,
		BaseContext: func(net.Listener) context.Context { return requests },
		Protocols:   new(http.Protocols),
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: 10000}, // a subscription for each shard of a large stream
		ErrorLog:    log.New(io.Discard, "", 0),                     // only tells of clients that broke off
		// Nothing here waits for a slow client but its own request.
		ReadHeaderTimeout: time.Minute,
	}
	unused := &unusedConns{open: map[net.Conn]bool{}}
	server.ConnState = unused.note
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)

	served := make(chan error, 1) // one result; the sender must not wait if it comes late
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	cancel() // subscriptions and stalled requests end now
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer done()
	unused.close()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-served
	if err != nil {
		return fmt.Errorf("stop serving %s: %w", l.Addr(), err)
	}
	return nil
}

// unusedConns are the connections over which no request has come yet. A client opens such where a request that it dialled for
// went over another; net/http waits five seconds for them before it shuts down.
type unusedConns struct {
	mu   sync.Mutex
	open map[net.Conn]bool
}

func (u *unusedConns) note(c net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if state == http.StateNew {
		u.open[c] = true
	} else {
		delete(u.open, c)
	}
}

func (u *unusedConns) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c := range u.open {
		c.Close()
	}
}

// SelfSigned returns a new certificate for localhost and the loopback addresses, valid for ten years, and its PEM form,
// which clients need in order to trust it.
func SelfSigned() (cert tls.Certificate, certPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, nil, fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return cert, nil, fmt.Errorf("make a serial number: %w", err)
	}
	now := time.Now()
	form := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		return cert, nil, fmt.Errorf("sign a certificate: %w", err)
	}
	cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
