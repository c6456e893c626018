//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/cmd/kcl/internal/picture"
	"github.com/kinesis-go/kcl/cmd/kcl/internal/scene"
	"github.com/kinesis-go/kcl/local"
)

// rowWrite is one write of a row that the services carried out.
type rowWrite struct{ caller, row, body string }

// notebook passes requests on and notes what changed in tables.
type notebook struct {
	next http.Handler

	mu     sync.Mutex
	writes []rowWrite
}

// ServeHTTP implements [http.Handler].
func (n *notebook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !slices.Contains([]string{"UpdateItem", "PutItem", "DeleteItem"}, operation) {
		n.next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := &statusOf{ResponseWriter: w, code: http.StatusOK}
	n.next.ServeHTTP(answer, r)
	if answer.code != http.StatusOK {
		return // refused: nothing changed
	}
	var in struct {
		Key, Item map[string]struct{ S string }
	}
	_ = json.Unmarshal(body, &in) // it was accepted, so it is JSON; attributes of other types are of no interest
	_, agent, _ := strings.Cut(r.Header.Get("User-Agent"), "app/")
	caller, _, _ := strings.Cut(agent, " ")
	n.mu.Lock()
	defer n.mu.Unlock()
	n.writes = append(n.writes, rowWrite{caller, in.Key["leaseKey"].S + in.Item["leaseKey"].S, string(body)})
}

func (n *notebook) all() []rowWrite {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.writes)
}

type statusOf struct {
	http.ResponseWriter
	code int
}

func (s *statusOf) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// TestStoppedOwnerWritesNothing: a worker process that is stopped until its leases have expired and gone to the other one
// changes none of their rows after it wakes, and no record is missing.
func TestStoppedOwnerWritesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes for seconds")
	}
	t.Parallel()
	srv := local.New(local.Config{Logger: slog.New(slog.DiscardHandler)})
	notes := &notebook{next: srv}
	web := httptest.NewServer(notes)
	defer web.Close()
	cfg := srv.AWSConfigAt(web.URL)
	const owner = "worker-2"
	stopped := make(chan *demoProcess, 1) // the owner
	var flags demoFlags
	flags.scene = scene.Config{
		Kinesis: kinesis.NewFromConfig(cfg), DynamoDB: dynamodb.NewFromConfig(cfg), Where: web.URL, Stream: "demo", Shards: 4,
		Rate: 200, Size: 100, Keys: 50, Duration: 10 * time.Minute, Seed: 1, LeaseDuration: 2 * time.Second, Workers: 2, Calm: true,
	}
	spawn := spawner(web.URL, flags)
	flags.scene.Spawn = func(id string) (scene.Process, error) {
		p, err := spawn(id)
		if id == owner && err == nil {
			stopped <- p.(*demoProcess)
		}
		return p, err
	}
	s := scene.New(flags.scene)
	enough := make(chan struct{})
	var playing sync.WaitGroup
	var report scene.Report
	playing.Go(func() {
		var err error
		if report, err = s.Run(t.Context(), enough); err != nil {
			t.Error(err)
		}
	})
	defer playing.Wait()
	end := sync.OnceFunc(func() { close(enough) })
	defer end()

	process := <-stopped
	var held []string
	eventually(t, "worker-2 reads", func() bool { held = ownedBy(s, owner); return len(held) > 0 })
	eventually(t, "worker-2 writes rows of leases, and is known by its name", func() bool {
		return slices.ContainsFunc(notes.all(), func(w rowWrite) bool { return w.caller == owner && strings.HasPrefix(w.row, "shardId-") })
	})
	signalTo(t, process, syscall.SIGSTOP)
	defer func() { _ = process.cmd.Process.Signal(syscall.SIGCONT) }() // so that it can end, whatever fails
	eventually(t, "worker-1 reads all shards", func() bool { return len(ownedBy(s, "worker-1")) == 4 })
	before := len(notes.all())
	signalTo(t, process, syscall.SIGCONT)
	for _, shard := range held {
		eventually(t, "worker-2 knows that it lost "+shard, func() bool {
			return slices.ContainsFunc(s.Frame().Events, func(e picture.Event) bool { return e.What == owner+" lost "+shard })
		})
	}
	checkSilence(t, notes.all()[before:], owner)
	end()
	playing.Wait()
	if v := report.Verdict; !report.Good || v.Total.Missing != 0 || v.Total.Put == 0 {
		t.Errorf("%+v", report)
	}
	t.Logf("%d records, %d twice; gaps %v", report.Verdict.Total.Put, report.Verdict.Total.Duplicates, report.Causes)
}

// checkSilence fails the test if the worker wrote a row of a lease that no other worker had given back to it.
func checkSilence(t *testing.T, writes []rowWrite, id string) {
	t.Helper()
	given := map[string]bool{}
	for _, w := range writes {
		switch {
		case !strings.HasPrefix(w.row, "shardId-"):
		case w.caller != id:
			given[w.row] = given[w.row] || strings.Contains(w.body, `"`+id+`"`)
		case !given[w.row]:
			t.Errorf("%s wrote %s after it woke: %s", id, w.row, w.body)
		}
	}
}

// ownedBy names the shards that a worker reads, as events do.
func ownedBy(s *scene.Scene, id string) []string {
	var names []string
	for _, sh := range s.Frame().Shards {
		if sh.Owner == id && sh.State == picture.Reading {
			names = append(names, picture.Short(sh.ID))
		}
	}
	return names
}

func signalTo(t *testing.T, p *demoProcess, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
