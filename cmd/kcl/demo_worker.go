package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/scene"
	"github.com/kinesis-go/kcl/internal/wholebody"
)

// demoWorkerCommand is what kcl demo starts its worker processes with; it is of no use to anyone else.
func (a *app) demoWorkerCommand() *cobra.Command {
	var work scene.Work
	var endpoint string
	cmd := &cobra.Command{Use: "worker", Short: "Be one worker of kcl demo", Hidden: true, Args: noArguments}
	flags := cmd.Flags()
	flags.StringVar(&endpoint, "endpoint", "", "URL of the services")
	flags.StringVar(&work.Stream, "stream", "", "stream to read")
	flags.StringVar(&work.ID, "id", "", "id of the worker")
	flags.DurationVar(&work.LeaseDuration, "lease", 0, "lease duration")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg := aws.Config{
			Region: "us-east-1", BaseEndpoint: &endpoint, AppID: work.ID, // the id tells the workers' requests apart
			Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
			HTTPClient:  wholebody.New(nil),
		}
		work.Kinesis, work.DynamoDB = kinesis.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)
		return work.Serve(cmd.Context(), a.stdin, a.stdout)
	}
	return cmd
}

// demoProcess is a worker process. It has a process group of its own, so that Ctrl-C reaches it through us only; if we are
// killed, the end of its stdin ends it, and on Linux the kernel does so at once.
type demoProcess struct {
	cmd    *exec.Cmd
	stdin  *os.File
	stdout *os.File
	stderr bytes.Buffer  // of interest only if it fails
	done   chan struct{} // closed when it has ended
	err    error         // set before
}

// startDemoWorker starts this program once more.
func startDemoWorker(endpoint, streamName, id string, lease time.Duration) (*demoProcess, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	theirIn, ourIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	ourOut, theirOut, err := os.Pipe()
	if err != nil {
		ourIn.Close()
		return nil, err
	}
	defer theirOut.Close()
	p := &demoProcess{stdin: ourIn, stdout: ourOut, done: make(chan struct{})}
	p.cmd = exec.Command(program, "demo", "worker", "--endpoint="+endpoint, "--stream="+streamName, "--id="+id, fmt.Sprint("--lease=", lease))
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirIn, theirOut, &p.stderr
	p.cmd.SysProcAttr = apart()
	started := make(chan error)
	go p.supervise(started) // ends with the process; Wait waits for that
	if err := <-started; err != nil {
		ourIn.Close()
		ourOut.Close()
		return nil, err
	}
	return p, nil
}

// supervise starts the process and waits for it in one thread: Linux sends the parent-death signal when the thread that
// forked ends, not the process (prctl(2), PR_SET_PDEATHSIG).
func (p *demoProcess) supervise(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.err = p.cmd.Wait()
		close(p.done)
	}
}

// Read implements [scene.Process].
func (p *demoProcess) Read(b []byte) (int, error) { return p.stdout.Read(b) }

// Write implements [scene.Process].
func (p *demoProcess) Write(b []byte) (int, error) { return p.stdin.Write(b) }

// Close implements [scene.Process].
func (p *demoProcess) Close() error { return p.stdin.Close() }

// Pid implements [scene.Process].
func (p *demoProcess) Pid() int { return p.cmd.Process.Pid }

// Ask implements [scene.Process].
func (p *demoProcess) Ask() {
	if p.cmd.Process.Signal(syscall.SIGTERM) != nil {
		p.Kill() // it has ended, or this system cannot ask
	}
}

// Kill implements [scene.Process].
func (p *demoProcess) Kill() { _ = p.cmd.Process.Kill() } // the only error is that it has ended

// Wait implements [scene.Process].
func (p *demoProcess) Wait() error {
	p.stdout.Close()
	<-p.done
	if said := strings.TrimSpace(p.stderr.String()); p.err != nil && said != "" {
		return fmt.Errorf("%w: %s", p.err, said)
	}
	return p.err
}

// spawner starts workers of a demo on the services at endpoint.
func spawner(endpoint string, f demoFlags) func(id string) (scene.Process, error) {
	return func(id string) (scene.Process, error) {
		p, err := startDemoWorker(endpoint, f.scene.Stream, id, f.scene.LeaseDuration)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
}
