//go:build interop

// Package servers_test runs our worker, our commands and one suite of behaviours against servers that we did not write.
package servers_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/kinesis-go/kcl/internal/wholebody"
	"github.com/kinesis-go/kcl/interop/internal/stagetest"
	"github.com/kinesis-go/kcl/local"
)

// hang is how long something may take before it is taken to hang.
const hang = 90 * time.Second

// server is one that runs until the test ends.
type server struct {
	name string // with its version
	url  string
}

// short is the name without the version.
func (s server) short() string { return strings.Fields(s.name)[0] }

func (s server) config() aws.Config {
	return aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""), BaseEndpoint: aws.String(s.url),
		HTTPClient: wholebody.New(nil),
	}
}

func startLocal(t *testing.T) server {
	t.Helper()
	return server{"local", local.Start(t).URL}
}

// startKinesisMock starts kinesis-mock, on loopback by way of a preloaded script.
func startKinesisMock(t *testing.T) server {
	t.Helper()
	dir, here := nodeModules(t), filepath.Join(stagetest.Root(t), "interop", "servers", "preload")
	plain, secure := freePort(t), freePort(t)
	cmd := exec.Command("node", "--require", filepath.Join(here, "loopback.cjs"), filepath.Join(dir, "kinesis-local", "main.js"))
	cmd.Env = append(os.Environ(), "KINESIS_MOCK_CERT_PATH="+filepath.Join(dir, "kinesis-local", "server.json"),
		"KINESIS_MOCK_PLAIN_PORT="+plain, "KINESIS_MOCK_TLS_PORT="+secure, "LOG_LEVEL=WARN", "SHARD_LIMIT=100", "AWS_REGION=us-east-1")
	for _, what := range []string{"CREATE_STREAM", "DELETE_STREAM", "REGISTER_STREAM_CONSUMER", "DEREGISTER_STREAM_CONSUMER", "SPLIT_SHARD",
		"MERGE_SHARDS", "UPDATE_SHARD_COUNT", "UPDATE_STREAM_MODE", "START_STREAM_ENCRYPTION", "STOP_STREAM_ENCRYPTION"} {
		cmd.Env = append(cmd.Env, what+"_DURATION=20ms")
	}
	return started(t, "kinesis-mock 0.6.2", plain, cmd)
}

// startFerrokinesis starts ferrokinesis, on loopback by way of a preloaded library.
func startFerrokinesis(t *testing.T) server {
	t.Helper()
	dir, port := filepath.Join(stagetest.Cache(t), "servers", "ferrokinesis"), freePort(t)
	cmd := exec.Command(filepath.Join(dir, "bin", "ferrokinesis"), "--port", port, "--region", "us-east-1", "--log-level", "warn",
		"--create-stream-ms", "0", "--delete-stream-ms", "0", "--update-stream-ms", "0", "--shard-limit", "100")
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+filepath.Join(dir, "loopback.so"))
	return started(t, "ferrokinesis 0.7.0", port, cmd)
}

func startDynalite(t *testing.T) server {
	t.Helper()
	port := freePort(t)
	cmd := exec.Command("node", filepath.Join(nodeModules(t), "dynalite", "cli.js"), "--host", "127.0.0.1", "--port", port,
		"--createTableMs", "0", "--deleteTableMs", "0", "--updateTableMs", "0")
	return started(t, "dynalite 4.0.0", port, cmd)
}

func nodeModules(t *testing.T) string {
	return filepath.Join(stagetest.Cache(t), "servers", "node", "node_modules")
}

// started waits until a server answers, and makes sure that it does so on loopback only.
func started(t *testing.T, name, port string, cmd *exec.Cmd) server {
	t.Helper()
	cmd.Dir = t.TempDir()
	p := stagetest.Start(t, name, cmd)
	s := server{name, "http://127.0.0.1:" + port}
	stagetest.Eventually(t, hang, name+" answers", func() bool {
		if !p.Running() {
			t.Fatalf("%s has ended", name)
		}
		r, err := http.Get(s.url)
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return true
	})
	for _, ip := range ownAddresses(t) {
		if c, err := net.DialTimeout("tcp", net.JoinHostPort(ip, port), time.Second); err == nil {
			_ = c.Close()
			t.Fatalf("%s listens on %s, too: it must be on loopback only", name, ip)
		}
	}
	return s
}

// ownAddresses are this machine's, loopback left out.
func ownAddresses(t *testing.T) (ips []string) {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() {
			ips = append(ips, ip.IP.String())
		}
	}
	return ips
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}
