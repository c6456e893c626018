package kcl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kinesis-go/kcl/stream"
)

// These tests hold Run to what programs written for the older library test with: they put files in the place of os.Stdin and
// a function in the place of printf, from inside the package.

// stage stands for the parent: each message that Run prints brings the next file as stdin.
type stage struct {
	t       *testing.T
	printed []string
	next    map[string]string // from a message to what stdin holds after it
	files   int
}

func newStage(t *testing.T, first string, next map[string]string) *stage {
	s := &stage{t: t, next: next}
	stdin, print := os.Stdin, printf
	t.Cleanup(func() { os.Stdin, printf = stdin, print })
	printf = s.print
	s.open(first)
	return s
}

func (s *stage) open(content string) {
	s.files++
	name := filepath.Join(s.t.TempDir(), fmt.Sprint("stdin", s.files))
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { f.Close() })
	os.Stdin = f
}

func (s *stage) print(format string, a ...any) (int, error) {
	text, ok := a[0].(string)
	if format != "\n%s\n" || len(a) != 1 || !ok {
		s.t.Errorf("printf(%q, %v), want the format of old and one string", format, a)
	}
	s.printed = append(s.printed, text)
	if content, ok := s.next[text]; ok {
		s.open(content)
	}
	return 0, nil
}

func (s *stage) want(messages ...string) {
	s.t.Helper()
	if !slices.Equal(s.printed, messages) {
		s.t.Errorf("printed\n%q\nwant\n%q", s.printed, messages)
	}
}

// oldProcessor checkpoints the last record of each batch, and nothing at the end.
type oldProcessor struct {
	shard   string
	batches [][]*Record
	asked   error
}

func (p *oldProcessor) Initialize(shard string) error { p.shard = shard; return nil }
func (p *oldProcessor) ProcessRecords(records []*Record, cp *Checkpointer) error {
	p.batches = append(p.batches, records)
	number := records[len(records)-1].SequenceNumber
	p.asked = cp.Checkpoint(&number)
	return p.asked
}
func (p *oldProcessor) ShutdownRequested(*Checkpointer) error { return nil }
func (p *oldProcessor) LeaseLost() error                      { return nil }
func (p *oldProcessor) ShardEnded(*Checkpointer) error        { return nil }

const (
	sayInitialize = `{"action":"initialize","shardId":"shardId-000000000001"}` + "\n"
	sayRecords    = `{"action":"processRecords","records":[{"data":"bWVvdw==","partitionKey":"cat","sequenceNumber":"456"}]}` + "\n"
	sayShardEnded = `{"action":"shardEnded"}` + "\n"
	oldAnswer     = `{"action":"checkpoint","checkpoint":"456"}` // neither of the keys of today, and no line feed

	initialized = `{"action":"status","responseFor":"initialize"}`
	processed   = `{"action":"status","responseFor":"processRecords"}`
	ended       = `{"action":"status","responseFor":"shardEnded"}`
	asked456    = `{"action":"checkpoint","sequenceNumber":"456"}`
)

func TestRunInitializes(t *testing.T) {
	s := newStage(t, sayInitialize, nil)
	p := &oldProcessor{}
	Run(p)
	s.want(initialized)
	if p.shard != "shardId-000000000001" {
		t.Errorf("shard %q", p.shard)
	}
}

func TestRunTakesRecordsBeforeInitialize(t *testing.T) {
	s := newStage(t, sayRecords, map[string]string{asked456: oldAnswer})
	p := &oldProcessor{}
	Run(p)
	s.want(asked456, processed)
	want := Record{Data: "bWVvdw==", PartitionKey: "cat", SequenceNumber: "456"}
	if len(p.batches) != 1 || len(p.batches[0]) != 1 || *p.batches[0][0] != want {
		t.Errorf("batches %v, want one with %v", p.batches, want)
	}
}

func TestRunGoesThroughAllPhases(t *testing.T) {
	s := newStage(t, sayInitialize, map[string]string{
		initialized: sayRecords,
		asked456:    oldAnswer,
		processed:   sayShardEnded,
	})
	Run(&oldProcessor{})
	s.want(initialized, asked456, processed, ended)
}

// TestRunReadsPipesThatTestsReplace covers a stdin that stays open: the read that waits on it must not hold Run.
func TestRunReadsPipesThatTestsReplace(t *testing.T) {
	s := newStage(t, "", map[string]string{asked456: oldAnswer, initialized: sayRecords})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := w.WriteString(sayInitialize); err != nil {
		t.Fatal(err)
	}
	os.Stdin = r
	Run(&oldProcessor{})
	s.want(initialized, asked456, processed)
}

func TestRunRefusedCheckpointKeepsItsOldText(t *testing.T) {
	newStage(t, sayRecords, map[string]string{asked456: `{"action":"checkpoint","error":"ThrottlingException"}`})
	p := &oldProcessor{}
	if err := run(p); err == nil {
		t.Error("run succeeded although the processor failed")
	}
	if p.asked == nil || p.asked.Error() != "ThrottlingException" || !errors.Is(p.asked, stream.ErrThrottled) {
		t.Errorf("Checkpoint = %v", p.asked)
	}
}

func TestZeroCheckpointerWithoutRun(t *testing.T) {
	askedAll := `{"action":"checkpoint","sequenceNumber":null}`
	s := newStage(t, "", map[string]string{asked456: oldAnswer, askedAll: "\n" + `{"action":"checkpoint","error":"ShutdownException"}` + "\n"})
	var cp Checkpointer
	number := "456"
	if err := cp.Checkpoint(&number); err != nil {
		t.Errorf("Checkpoint(456) = %v", err)
	}
	if err := cp.Checkpoint(nil); !errors.Is(err, stream.ErrLeaseLost) {
		t.Errorf("Checkpoint(nil) = %v, want ErrLeaseLost", err)
	}
	if err := cp.Checkpoint(nil); err == nil { // every answer is a new file here
		t.Error("third Checkpoint succeeded")
	}
	s.want(asked456, askedAll, askedAll)
}

func TestZeroCheckpointerAtEndOfInput(t *testing.T) {
	newStage(t, "", nil)
	if err := new(Checkpointer).Checkpoint(nil); !errors.Is(err, ErrParentGone) {
		t.Errorf("Checkpoint = %v, want ErrParentGone", err)
	}
}

// zeroProcessor uses a Checkpointer of its own making.
type zeroProcessor struct {
	oldProcessor
	early error
}

func (p *zeroProcessor) Initialize(string) error {
	p.early = new(Checkpointer).Checkpoint(nil)
	return nil
}

func (p *zeroProcessor) ProcessRecords(records []*Record, _ *Checkpointer) error {
	return new(Checkpointer).Checkpoint(&records[0].SequenceNumber)
}

func TestZeroCheckpointerTakesPartInRun(t *testing.T) {
	s := newStage(t, sayInitialize, map[string]string{initialized: sayRecords, asked456: oldAnswer})
	p := &zeroProcessor{}
	Run(p)
	s.want(initialized, asked456, processed)
	if !errors.Is(p.early, stream.ErrNoCheckpoint) {
		t.Errorf("Checkpoint in Initialize = %v, want ErrNoCheckpoint", p.early)
	}
}

// TestRunPrintsToTheStdoutOfTheTest covers a test that puts a pipe in the place of os.Stdout, before Run or while it runs.
func TestRunPrintsToTheStdoutOfTheTest(t *testing.T) {
	print := printf
	newStage(t, sayInitialize, nil)
	printf = print
	stdout := os.Stdout
	defer func() { os.Stdout = stdout }()
	before, during := tempFile(t), tempFile(t)
	os.Stdout = before
	Run(&replacer{with: during})
	if got := content(t, before); got != "" {
		t.Errorf("stdout of before Run holds %q", got)
	}
	if got := content(t, during); got != "\n"+initialized+"\n" {
		t.Errorf("stdout put in place by the processor holds %q", got)
	}
	os.Stdout = before
	newStage(t, sayInitialize, nil)
	printf = print
	Run(&oldProcessor{})
	if got := content(t, before); got != "\n"+initialized+"\n" {
		t.Errorf("stdout of before Run holds %q", got)
	}
}

type replacer struct {
	oldProcessor
	with *os.File
}

func (p *replacer) Initialize(string) error { os.Stdout = p.with; return nil }

func tempFile(t *testing.T) *os.File {
	f, err := os.CreateTemp(t.TempDir(), "stdout")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func content(t *testing.T, f *os.File) string {
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
