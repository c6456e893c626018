//go:build unix

package multilang_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kinesis-go/kcl"
	"github.com/kinesis-go/kcl/multilang"
	"github.com/kinesis-go/kcl/stream"
)

// The children of these tests are this test binary, started anew: nothing but Go is needed. childVar says which to be.
const childVar = "MULTILANG_TEST_CHILD"

func TestMain(m *testing.M) {
	name := os.Getenv(childVar)
	if name == "" {
		// Most of these tests wait for another process, or for time to pass.
		if err := flag.Set("test.parallel", "16"); err != nil {
			panic(err)
		}
		os.Exit(max(m.Run(), leftovers()))
	}
	if file, ok := strings.CutPrefix(name, transcriptChild); ok {
		os.Exit(playTranscript(file))
	}
	play, ok := children[name]
	if !ok {
		fmt.Fprintln(os.Stderr, "no such child:", name)
		os.Exit(99)
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	play(&script{in: in})
}

// leftovers reports goroutines of this package that outlived all tests, as an exit code.
func leftovers() int {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left := leftover()
		switch {
		case left == "":
			return 0
		case time.Now().After(deadline):
			fmt.Fprintln(os.Stderr, "left behind:", left)
			return 1
		}
	}
}

// leftover returns the stack of one such goroutine.
func leftover() string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for goroutine := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(goroutine, "/multilang.(*") {
			return goroutine
		}
	}
	return ""
}

// script is a child in a few words.
type script struct{ in *bufio.Reader }

// hear reads one message and exits at the end of the input, as children do.
func (s *script) hear() message {
	line, err := s.in.ReadBytes('\n')
	if err == io.EOF {
		os.Exit(0)
	}
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(98)
	}
	return m
}

type message struct {
	Action   string  `json:"action"`
	Sequence *string `json:"sequenceNumber"`
	Sub      *int64  `json:"subSequenceNumber"`
	Error    *string `json:"error"`
	Records  []any   `json:"records"`
}

func (s *script) say(lines ...string) { fmt.Print(strings.Join(lines, "\n") + "\n") }

func status(action string) string { return `{"action":"status","responseFor":"` + action + `"}` }

// answer reads one message and answers it.
func (s *script) answer() message {
	m := s.hear()
	s.say("", status(m.Action))
	return m
}

// serve answers everything until the input ends.
func (s *script) serve() {
	for {
		s.answer()
	}
}

// until answers messages up to, but without, the first with this action.
func (s *script) until(action string) message {
	for {
		m := s.hear()
		if m.Action == action {
			return m
		}
		s.say("", status(m.Action))
	}
}

// ask sends a request and tells the error of its answer on stderr.
func (s *script) ask(request string) {
	s.say(request)
	m := s.hear()
	text := "ok"
	if m.Error != nil {
		text = *m.Error
	}
	seq, sub := "null", "null"
	if m.Sequence != nil {
		seq = *m.Sequence
	}
	if m.Sub != nil {
		sub = fmt.Sprint(*m.Sub)
	}
	fmt.Fprintln(os.Stderr, m.Action, seq, sub, text)
}

const (
	checkpointAll = `{"action":"checkpoint"}`
	checkpoint2   = `{"action":"checkpoint","sequenceNumber":"2"}`
)

// hold keeps a child busy for longer than any test waits for it, and not much longer: a test that fails may leave it behind.
func hold() { time.Sleep(2 * time.Minute) }

// grandchild starts a process that inherits stdout and stderr and holds them; apart gives it a group of its own.
func grandchild(apart bool) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"=holder")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: apart}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, "grandchild", cmd.Process.Pid)
}

var children = map[string]func(*script){
	"good":   (*script).serve,
	"parent": parent,
	"deaf":   func(s *script) { signal.Ignore(syscall.SIGTERM, syscall.SIGPIPE); s.answer(); hold() },
	"holder": func(*script) { hold() },
	"quiet": func(*script) {
		err := kcl.Serve(signalContext(), os.Stdin, os.Stdout, stream.Func(func(ctx context.Context, _ *stream.Batch, cp stream.Checkpointer) error {
			return cp.Checkpoint(ctx, stream.Position{})
		}))
		if err != nil {
			os.Exit(1)
		}
	},
	"served": func(*script) {
		// The child side of this module, whole.
		if err := kcl.Serve(signalContext(), os.Stdin, os.Stdout, stream.Func(served)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	},
	"says what it got": func(s *script) {
		for {
			m := s.hear()
			raw, _ := json.Marshal(m)
			fmt.Fprintln(os.Stderr, string(raw))
			s.say(status(m.Action))
		}
	},
	"echoes raw": func(s *script) {
		for {
			line, err := s.in.ReadString('\n')
			if err != nil {
				os.Exit(0)
			}
			fmt.Fprint(os.Stderr, line)
			var m message
			json.Unmarshal([]byte(line), &m)
			s.say(status(m.Action))
		}
	},

	"dies at once":          func(*script) { os.Exit(3) },
	"dies in a batch":       func(s *script) { s.until("processRecords"); os.Exit(3) },
	"dies while idle":       func(s *script) { s.answer(); os.Exit(4) },
	"is killed in a batch":  func(s *script) { s.until("processRecords"); syscall.Kill(os.Getpid(), syscall.SIGKILL); hold() },
	"dies after its answer": func(s *script) { s.until("leaseLost"); fmt.Print(status("leaseLost")); os.Exit(5) },
	"hangs in a batch":      func(s *script) { s.until("processRecords"); hold() },
	"hangs at initialize":   func(*script) { hold() },
	"asks until it works": func(s *script) {
		s.answer()
		s.hear()
		for refused := true; refused; {
			s.say(checkpointAll)
			refused = s.hear().Error != nil
		}
		s.say(status("processRecords"))
		s.serve()
	},
	"goes on to speak": func(s *script) {
		s.until("leaseLost")
		s.say(status("leaseLost"))
		for range 1000 {
			s.say(status("leaseLost"))
		}
	},
	"ignores everything": func(s *script) {
		signal.Ignore(syscall.SIGTERM)
		s.until("processRecords")
		hold()
	},
	"does not read": func(s *script) { s.answer(); hold() },
	"stays after its answer": func(s *script) {
		signal.Ignore(syscall.SIGTERM)
		s.until("leaseLost")
		s.say(status("leaseLost"))
		hold()
	},
	"waits for the end of stdin, then prints": func(s *script) {
		s.until("leaseLost")
		s.say(status("leaseLost"))
		io.Copy(io.Discard, s.in)
		s.say("last words")
		os.Exit(0)
	},
	"prints on SIGTERM": func(s *script) {
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		s.until("leaseLost")
		s.say(status("leaseLost"))
		<-c
		fmt.Fprintln(os.Stderr, "got SIGTERM")
		os.Exit(0)
	},
	"closes stdout": func(s *script) { s.until("processRecords"); os.Stdout.Close(); hold() },
	"closes stdin":  func(s *script) { s.answer(); os.Stdin.Close(); fmt.Fprintln(os.Stderr, "closed"); hold() },
	"wrong answer":  func(s *script) { s.until("processRecords"); s.say(status("initialize")); s.serve() },
	"empty answer":  func(s *script) { s.until("processRecords"); s.say(`{"action":"status"}`); s.serve() },
	"answers twice": func(s *script) {
		s.answer()
		for {
			m := s.hear()
			s.say(status(m.Action), status(m.Action))
		}
	},
	"answers before reading": func(s *script) {
		s.answer()
		s.say(status("processRecords"))
		hold()
	},
	"asks a lot before reading": func(s *script) {
		s.answer()
		if _, err := s.in.Peek(1); err != nil { // the parent is in the midst of a message that no pipe holds
			os.Exit(0)
		}
		fmt.Print(strings.Repeat(checkpointAll+"\n", 8000)) // more than a pipe and its reader hold, too
		var m message
		n := 0
		for n < 8000 || m.Action == "" {
			next := s.hear()
			if next.Action == "checkpoint" {
				n++
			} else {
				m = next
			}
		}
		fmt.Fprintln(os.Stderr, "answers", n)
		s.say(status(m.Action))
		s.serve()
	},
	"wrong answer to shutdown": func(s *script) {
		s.until("shutdownRequested")
		s.say(status("processRecords"))
		m := s.hear()
		fmt.Fprintln(os.Stderr, "then", m.Action)
		s.say(status(m.Action))
		s.serve()
	},
	"dies at shutdown":        func(s *script) { s.until("shutdownRequested"); os.Exit(6) },
	"leaves a grandchild":     func(s *script) { s.until("processRecords"); grandchild(false); os.Exit(7) },
	"leaves one far away":     func(s *script) { s.until("processRecords"); grandchild(true); os.Exit(7) },
	"grandchild at the end":   func(s *script) { s.until("leaseLost"); grandchild(false); s.say(status("leaseLost")); s.serve() },
	"far grandchild at end":   func(s *script) { s.until("leaseLost"); grandchild(true); s.say(status("leaseLost")); s.serve() },
	"has a grandchild, hangs": func(s *script) { s.until("processRecords"); grandchild(false); hold() },
	"prints half a line": func(s *script) {
		s.until("processRecords")
		fmt.Print(`{"action":"status","respo`)
		os.Exit(0)
	},
	"last line without end": func(s *script) { s.until("processRecords"); fmt.Print(status("processRecords")); os.Exit(0) },
	"prints garbage": func(s *script) {
		s.answer()
		s.hear()
		long := strings.Repeat("x", 1000)
		s.say("null", "hello", "", "   ", "\uFEFF"+status("processRecords"), `{"action":"resign"}`, `{"action":1}`, `{"a":`, "[1,2]", "true",
			`{"action":"processRecords","records":[{"action":"record"}]}`, `{"action":"leaseLost"}`, long, status("processRecords"))
		s.serve()
	},
	"prints 64 MiB": func(s *script) {
		s.answer()
		s.hear()
		out := bufio.NewWriter(os.Stdout)
		part := strings.Repeat("x", 1<<20)
		for range 64 {
			out.WriteString(part)
		}
		out.WriteString("\n" + status("processRecords") + "\n")
		out.Flush()
		s.serve()
	},
	"extra keys": func(s *script) {
		m := s.hear()
		for {
			s.say(`{"pid":7,"action":"status","more":{"a":[1]},"responseFor":"` + m.Action + `"}`)
			m = s.hear()
		}
	},
	"carriage returns": func(s *script) {
		s.hear()
		fmt.Print(status("initialize") + "\r")
		s.hear()
		fmt.Print(status("processRecords") + "\r\n")
		s.serve()
	},
	"writes to stderr": func(s *script) {
		s.answer()
		s.hear()
		fmt.Fprintln(os.Stderr, "short")
		fmt.Fprintln(os.Stderr, strings.Repeat("y", 150<<10))
		fmt.Fprint(os.Stderr, "unfinished")
		s.say(status("processRecords"))
		s.serve()
	},
	"fills stderr": func(s *script) {
		s.answer()
		s.hear()
		for range 2000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("z", 200))
		}
		s.say(status("processRecords"))
		s.serve()
	},
	"answers slowly": func(s *script) {
		s.answer()
		s.hear()
		for range 8 {
			time.Sleep(700 * time.Millisecond)
			s.ask(checkpointAll)
		}
		s.say(status("processRecords"))
		s.serve()
	},
	"asks everything": func(s *script) {
		s.hear()
		s.ask(checkpointAll)
		s.say(status("initialize"))
		s.hear()
		for _, r := range []string{
			checkpointAll,
			`{"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":4}`,
			`{"action":"checkpoint","sequenceNumber":"2"}`,
			`{"action":"checkpoint","sequenceNumber":"2","subSequenceNumber":3}`,
			`{"action":"checkpoint","sequenceNumber":2,"subSequenceNumber":"3"}`,
			`["checkpoint",{"sequenceNumber":"2"}]`,
			`{"action":"checkpoint","sequenceNumber":""}`,
			`{"action":"checkpoint","sequenceNumber":"true"}`,
			`{"action":"checkpoint","sequenceNumber":"2","subSequenceNumber":-1}`,
			`{"action":"checkpoint","sequenceNumber":"TRIM_HORIZON","error":null}`,
			`{"action":"checkpoint","checkpoint":"2"}`,
		} {
			s.ask(r)
		}
		s.say(status("processRecords"))
		s.until("leaseLost")
		s.ask(checkpoint2)
		s.say(status("leaseLost"))
		s.serve()
	},
	"asks between actions": func(s *script) {
		s.answer()
		s.answer()
		s.say(checkpointAll)
		fmt.Fprintln(os.Stderr, "asked")
		m := s.hear() // the answer comes first
		fmt.Fprintln(os.Stderr, m.Action)
		s.serve()
	},
	"asks in shutdown": func(s *script) {
		s.until("shutdownRequested")
		s.ask(checkpointAll)
		s.say(status("shutdownRequested"))
		s.serve()
	},
	"ends the shard":             ends(checkpointAll),
	"ends with the last number":  ends(`{"action":"checkpoint","sequenceNumber":"2"}`),
	"ends with number and sub":   ends(`{"action":"checkpoint","sequenceNumber":"2","subSequenceNumber":0}`),
	"ends with SHARD_END":        ends(`{"action":"checkpoint","sequenceNumber":"SHARD_END"}`),
	"ends with an older number":  ends(`{"action":"checkpoint","sequenceNumber":"1"}`),
	"ends without a checkpoint":  ends(),
	"ends at the second attempt": ends(checkpointAll, checkpointAll),
}

func ends(requests ...string) func(*script) {
	return func(s *script) {
		s.until("shardEnded")
		for _, r := range requests {
			s.ask(r)
		}
		s.say(status("shardEnded"))
		s.serve()
	}
}

func signalContext() context.Context {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	return ctx
}

// served is the application of the child "served".
func served(ctx context.Context, b *stream.Batch, cp stream.Checkpointer) error {
	for _, r := range b.Records {
		fmt.Fprintf(os.Stderr, "%s %s %s\n", r.Position, r.PartitionKey, r.Data)
	}
	return cp.Checkpoint(ctx, stream.Position{})
}

// parent starts a deaf child, lets the threads of this process come and go, and waits to be killed.
func parent(*script) {
	cmd := multilang.Command{Path: os.Args[0], Env: childEnv("deaf"), Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		_, err := cmd.NewProcessor(context.Background(), stream.Assignment{Shard: "shardId-000000000001"})
		started <- err
	}()
	if err := <-started; err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "ready")
	hold()
}
