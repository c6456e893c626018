package javadaemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	atOnce  = 4                      // jars: enough to hide the round trips, few enough for any server
	tries   = 4                      // for each jar
	backOff = 500 * time.Millisecond // before the second try; it doubles
	stall   = 30 * time.Second       // without a byte, after which a try is given up
)

// CheckRepository returns an error unless text is the base address of a repository.
func CheckRepository(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("repository %q is not an address such as https://host/maven2", text)
	}
	return nil
}

// tally counts what was received.
type tally struct {
	tell func(Progress)
	mu   sync.Mutex
	now  Progress
}

func (t *tally) add(jars int, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Jars += jars
	t.now.Bytes += bytes
	if t.tell != nil {
		t.tell(t.now)
	}
}

// download gets the jars from the repository.
func (f Folder) download(ctx context.Context, jars []Jar) error {
	if err := CheckRepository(f.Repository); err != nil {
		return err
	}
	t := &tally{tell: f.Progress, now: Progress{AllJars: len(jars)}}
	for _, j := range jars {
		t.now.AllBytes += j.Size
	}
	t.add(0, 0)
	some, ctx := errgroup.WithContext(ctx)
	some.SetLimit(atOnce)
	for _, j := range jars {
		some.Go(func() error { return f.downloadOne(ctx, j, t) })
	}
	return some.Wait()
}

// downloadOne gets one jar into a file of its own, and makes it the jar when it is right.
func (f Folder) downloadOne(ctx context.Context, j Jar, t *tally) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	file, err := os.CreateTemp(f.Dir, unfinished+"*")
	if err != nil {
		return fmt.Errorf("write to the jar folder: %w", err)
	}
	defer os.Remove(file.Name()) // no longer there if all went well
	defer file.Close()
	d := &transfer{client: f.Client, url: strings.TrimRight(f.Repository, "/") + "/" + j.Path(), jar: j, file: file, sum: sha256.New(), tally: t}
	if err := d.run(ctx); err != nil {
		return fmt.Errorf("download %s: %w", redacted(d.url), err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write to the jar folder: %w", err)
	}
	if err := f.place(file.Name(), j); err != nil {
		return fmt.Errorf("write to the jar folder: %w", err)
	}
	t.add(1, 0)
	return nil
}

// redacted hides the password of an address.
func redacted(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Redacted()
	}
	return address
}

// transfer is one jar on its way. A try that is cut off is continued by the next one where the server can do that.
type transfer struct {
	client *http.Client
	url    string
	jar    Jar
	file   *os.File
	sum    hash.Hash // of what is in file
	have   int64     // bytes in file
	tally  *tally
}

// finalError is one that another try would meet again.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

func (d *transfer) run(ctx context.Context) error {
	wait := backOff
	for try := 1; ; try++ {
		err := d.try(ctx)
		switch {
		case err == nil:
			return d.verify()
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, new(finalError)):
			return err
		case try == tries:
			return fmt.Errorf("%w (%d tries)", err, tries)
		}
		select {
		case <-time.After(wait):
			wait *= 2
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (d *transfer) verify() error {
	if got := hex.EncodeToString(d.sum.Sum(nil)); got != d.jar.SHA256 {
		return fmt.Errorf("its SHA-256 is %s, not %s: the repository has another jar than the locked one", got, d.jar.SHA256)
	}
	return nil
}

// errStalled ends a try in which no byte arrives any more.
var errStalled = fmt.Errorf("no byte for %v", stall)

// try asks for what is missing once.
func (d *transfer) try(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(stall, func() { cancel(errStalled) })
	defer watch.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return finalError{err}
	}
	if d.have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.have))
	}
	client := d.client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return because(ctx, err)
	}
	defer resp.Body.Close()
	if err := d.begin(resp); err != nil {
		return err
	}
	if err := d.receive(resp.Body, func() { watch.Reset(stall) }); err != nil {
		return because(ctx, err)
	}
	return nil
}

// because prefers the reason why a request was cancelled to the fact, and drops what the caller tells anyway.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// begin looks at the status of an answer, and starts over unless it continues what there is.
func (d *transfer) begin(resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusPartialContent && strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", d.have)):
		return nil
	case resp.StatusCode == http.StatusOK:
		return d.restart()
	case resp.StatusCode == http.StatusPartialContent || resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return errors.Join(d.restart(), errors.New("the repository continues a jar at the wrong place"))
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout || resp.StatusCode >= 500:
		return fmt.Errorf("the repository answers %s", resp.Status)
	}
	return finalError{fmt.Errorf("the repository answers %s", resp.Status)}
}

func (d *transfer) restart() error {
	d.tally.add(0, -d.have)
	d.have = 0
	d.sum.Reset()
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return finalError{err}
	}
	if err := d.file.Truncate(0); err != nil {
		return finalError{err}
	}
	return nil
}

// receive appends body to the file until the jar is whole.
func (d *transfer) receive(body io.Reader, alive func()) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			alive()
			if d.have+int64(n) > d.jar.Size {
				return finalError{fmt.Errorf("it has more than %d bytes: the repository has another jar than the locked one", d.jar.Size)}
			}
			if _, err := d.file.Write(buffer[:n]); err != nil {
				return finalError{err}
			}
			d.sum.Write(buffer[:n])
			d.have += int64(n)
			d.tally.add(0, int64(n))
		}
		switch {
		case err == io.EOF && d.have == d.jar.Size:
			return nil
		case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("half a download: %d of %d bytes", d.have, d.jar.Size)
		case err != nil:
			return fmt.Errorf("half a download: %d of %d bytes: %w", d.have, d.jar.Size, err)
		}
	}
}

// downloaded counts a file of Maven's.
func (t *tally) downloaded() {
	t.mu.Lock()
	t.now.Maven++
	t.mu.Unlock()
	t.add(0, 0)
}
