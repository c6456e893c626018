package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/local"
)

// localFlags are the flags of kcl local.
type localFlags struct {
	addr, region                 string
	streams                      []string
	tls, limits, verbose, asJSON bool
	createDelay                  time.Duration
}

func (a *app) localCommand() *cobra.Command {
	var f localFlags
	cmd := &cobra.Command{
		Use:   "local [flags]",
		Short: "Serve Kinesis and DynamoDB on this machine",
		Long: `Serve Kinesis and DynamoDB, as far as the Kinesis Client Libraries use them, until Ctrl-C. Everything is in memory and gone
afterwards. The environment to set is printed: with it the AWS CLI and every SDK work, HTTP/1.1 and HTTP/2, JSON and CBOR.
Any credentials will do.`,
		Example: `  kcl local -stream orders:4
  kcl local -addr 127.0.0.1:0 -json
  kcl local -tls -limits -stream orders:4 -stream returns`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.addr, "addr", "127.0.0.1:4567", "where to listen; port 0 takes a free one")
	flags.StringArrayVar(&f.streams, "stream", nil, "create a stream, as `name:shards`; one shard if there is no number; repeatable")
	flags.BoolVar(&f.limits, "limits", false, "refuse what exceeds the throughput of a shard, as AWS does")
	flags.BoolVar(&f.tls, "tls", false, "serve https with a certificate made for this run")
	flags.DurationVar(&f.createDelay, "create-delay", 0, "how long streams and tables are CREATING, UPDATING and DELETING")
	flags.StringVar(&f.region, "region", local.DefaultRegion, "AWS region that ARNs name")
	flags.BoolVar(&f.verbose, "verbose", false, "log each request on stderr")
	flags.BoolVar(&f.asJSON, "json", false, "print the environment as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.local(cmd.Context(), f) }
	return cmd
}

// newStream is one stream to create.
type newStream struct {
	Name   string `json:"name"`
	Shards int    `json:"shards"`
}

func (f localFlags) newStreams() ([]newStream, error) {
	var all []newStream
	for _, text := range f.streams {
		name, number, given := strings.Cut(text, ":")
		s := newStream{Name: name, Shards: 1}
		if given {
			n, err := strconv.Atoi(number)
			if err != nil || n < 1 {
				return nil, usagef("-stream %q: want name:shards, such as orders:4", text)
			}
			s.Shards = n
		}
		all = append(all, s)
	}
	return all, nil
}

// localReady is what kcl local prints once it listens.
type localReady struct {
	Endpoint    string            `json:"endpoint"`
	Environment map[string]string `json:"environment"`
	Streams     []newStream       `json:"streams"`
}

func (a *app) local(ctx context.Context, f localFlags) error {
	streams, err := f.newStreams()
	if err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(f.addr); err != nil {
		return usagef("-addr %q: want host:port, such as 127.0.0.1:4567", f.addr)
	}
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	server := local.New(local.Config{
		Region: f.region, EnforceLimits: f.limits, CreateDelay: f.createDelay,
		Logger: slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level})),
	})
	for _, s := range streams {
		if err := server.CreateStream(s.Name, s.Shards); err != nil {
			return err
		}
	}
	l, err := listen(f.addr)
	if err != nil {
		return err
	}
	ready := localReady{Endpoint: "http://" + reachable(l.Addr()), Streams: streams, Environment: map[string]string{}}
	serve := server.Serve
	if f.tls {
		cert, caFile, err := certificate()
		if err != nil {
			return errors.Join(err, l.Close())
		}
		defer os.Remove(caFile)
		ready.Endpoint = "https://" + reachable(l.Addr())
		ready.Environment["AWS_CA_BUNDLE"] = caFile
		serve = func(ctx context.Context, l net.Listener) error { return server.ServeTLS(ctx, l, cert) }
	}
	if err := a.tellReady(ready, f); err != nil {
		return errors.Join(err, l.Close())
	}
	return serve(ctx, l)
}

// listen makes the commonest error say what to do.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another program listens on %s already, perhaps another kcl local; choose with -addr, such as -addr 127.0.0.1:0 for any free port", addr)
	}
	return l, err
}

// reachable is the address under which this machine reaches a listener.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return addr.String()
}

// certificate makes a certificate and leaves it in a file for clients.
func certificate() (tls.Certificate, string, error) {
	cert, text, err := local.SelfSigned()
	if err != nil {
		return cert, "", err
	}
	file, err := os.CreateTemp("", "kcl-local-*.pem")
	if err != nil {
		return cert, "", err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return cert, "", errors.Join(err, os.Remove(file.Name()))
	}
	return cert, file.Name(), nil
}

// tellReady prints the environment on stdout and what else there is to say on stderr.
func (a *app) tellReady(r localReady, f localFlags) error {
	r.Environment["AWS_ENDPOINT_URL"] = r.Endpoint
	r.Environment["AWS_ACCESS_KEY_ID"] = "local"
	r.Environment["AWS_SECRET_ACCESS_KEY"] = "local"
	r.Environment["AWS_REGION"] = f.region
	r.Environment["AWS_DEFAULT_REGION"] = f.region // what the AWS CLI and the SDK for Python look at
	if f.asJSON {
		return writeJSONLine(a.stdout, r)
	}
	var text strings.Builder
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"} {
		if value := r.Environment[name]; value != "" {
			fmt.Fprintf(&text, "export %s=%s\n", name, value)
		}
	}
	if _, err := fmt.Fprint(a.stdout, text.String()); err != nil {
		return err
	}
	for _, s := range r.Streams {
		fmt.Fprintf(a.stderr, "stream %s with %d %s\n", s.Name, s.Shards, plural(s.Shards, "shard"))
	}
	fmt.Fprintf(a.stderr, "serving Kinesis and DynamoDB on %s until Ctrl-C\n", r.Endpoint)
	return nil
}
