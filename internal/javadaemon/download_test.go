package javadaemon_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/javadaemon"
)

// repository serves the jars of these tests below /maven2/; before, if set, may answer instead.
type repository struct {
	before func(w http.ResponseWriter, r *http.Request, nth int) (answered bool) // nth request for that path, from 1

	mu       sync.Mutex
	requests map[string][]string // path to the Range headers
}

func newRepository() *repository { return &repository{requests: map[string][]string{}} }

func (s *repository) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests[r.URL.Path] = append(s.requests[r.URL.Path], r.Header.Get("Range"))
	nth := len(s.requests[r.URL.Path])
	s.mu.Unlock()
	if s.before != nil && s.before(w, r, nth) {
		return
	}
	for _, j := range jars {
		if r.URL.Path == "/maven2/"+j.Path() {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content(j.Artifact, int(j.Size))))
			return
		}
	}
	http.NotFound(w, r)
}

// client calls the repository without a socket, so that it works in a bubble.
func (s *repository) client() *http.Client { return &http.Client{Transport: transport{s}} }

type transport struct{ http.Handler }

// RoundTrip implements [http.RoundTripper]. A handler that panics with http.ErrAbortHandler cuts its answer off.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	cut := func() (cut bool) {
		defer func() { cut = recover() != nil }()
		t.ServeHTTP(rec, r)
		return false
	}()
	resp := rec.Result()
	resp.Request = r
	if cut {
		resp.Body = io.NopCloser(io.MultiReader(resp.Body, failing{io.ErrUnexpectedEOF}))
	}
	return resp, r.Context().Err()
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

const base = "http://jars.test/maven2"

// inBubble completes an empty folder from a repository, and returns how long that took in fake time.
func inBubble(t *testing.T, s *repository) (dir string, took time.Duration, err error) {
	dir = filepath.Join(t.TempDir(), "a", "new", "folder")
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err = javadaemon.Folder{Dir: dir, Repository: base, Client: s.client()}.Complete(t.Context(), jars)
		took = time.Since(start)
	})
	return dir, took, err
}

// TestL5Download: over real sockets, with a base address with and without a slash, only what is missing.
func TestL5Download(t *testing.T) {
	for _, slash := range []string{"", "/"} {
		s := newRepository()
		server := httptest.NewServer(s)
		defer server.Close()
		dir := t.TempDir()
		put(t, dir, jars[1], content("small", 10))
		var last javadaemon.Progress
		f := javadaemon.Folder{Dir: dir, Repository: server.URL + "/maven2" + slash, Progress: func(p javadaemon.Progress) { last = p }}
		if _, err := f.Complete(t.Context(), jars); err != nil {
			t.Fatal(err)
		}
		checkFolder(t, dir, jars)
		if want := (javadaemon.Progress{Jars: 2, AllJars: 2, Bytes: 305_000, AllBytes: 305_000}); last != want {
			t.Errorf("progress at the end: %+v, want %+v", last, want)
		}
		want := map[string][]string{"/maven2/" + jars[0].Path(): {""}, "/maven2/" + jars[2].Path(): {""}}
		if diff := cmp.Diff(want, s.requests); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	}
}

// TestL5BadDownloads: nothing wrong gets the name of a jar, and the errors say what is wrong.
func TestL5BadDownloads(t *testing.T) {
	big := "/maven2/" + jars[0].Path()
	other := bytes.ToUpper(content("big", 300_000))
	for name, tt := range map[string]struct {
		answer func(w http.ResponseWriter, nth int)
		want   string
		tries  int
	}{
		"another jar": {func(w http.ResponseWriter, _ int) { w.Write(other) },
			"its SHA-256 is " + sumOf(other) + ", not " + jars[0].SHA256 + ": the repository has another jar than the locked one", 1},
		"a longer one": {func(w http.ResponseWriter, _ int) { w.Write(append(content("big", 300_000), 'x')) },
			"it has more than 300000 bytes: the repository has another jar than the locked one", 1},
		"half of it": {func(w http.ResponseWriter, _ int) { w.Write(content("big", 300_000)[:1000]) },
			"half a download: 1000 of 300000 bytes (4 tries)", 4},
		"cut off": {func(w http.ResponseWriter, _ int) {
			w.Write(content("big", 300_000)[:1000])
			panic(http.ErrAbortHandler)
		},
			"half a download: 1000 of 300000 bytes (4 tries)", 4},
		"not found":   {func(w http.ResponseWriter, _ int) { w.WriteHeader(404) }, "the repository answers 404 Not Found", 1},
		"no access":   {func(w http.ResponseWriter, _ int) { w.WriteHeader(401) }, "the repository answers 401 Unauthorized", 1},
		"unavailable": {func(w http.ResponseWriter, _ int) { w.WriteHeader(503) }, "the repository answers 503 Service Unavailable (4 tries)", 4},
		"an error page": {func(w http.ResponseWriter, _ int) { w.WriteHeader(500); w.Write(content("big", 300_000)) },
			"the repository answers 500 Internal Server Error (4 tries)", 4},
		"a wrong part": {func(w http.ResponseWriter, nth int) {
			w.Header().Set("Content-Range", "bytes 5-9/300000")
			w.WriteHeader(206)
		}, "the repository continues a jar at the wrong place (4 tries)", 4},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRepository()
			s.before = func(w http.ResponseWriter, r *http.Request, nth int) bool {
				if r.URL.Path == big {
					tt.answer(w, nth)
				}
				return r.URL.Path == big
			}
			dir, _, err := inBubble(t, s)
			want := "download " + base + "/" + jars[0].Path() + ": " + tt.want
			if textOf(err) != want {
				t.Errorf("Complete: %v\nwant %s", err, want)
			}
			if got := len(s.requests[big]); got != tt.tries {
				t.Errorf("%d tries, want %d", got, tt.tries)
			}
			left, _ := filepath.Glob(filepath.Join(dir, "*"))
			hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
			for _, file := range append(left, hidden...) {
				if name := filepath.Base(file); name != jars[1].File() && name != jars[2].File() {
					t.Errorf("the folder has %s", name)
				}
			}
		})
	}
}

// TestL6Continues: a download that is cut off goes on where it was, if the server can, and from the start if not.
func TestL6Continues(t *testing.T) {
	big := "/maven2/" + jars[0].Path()
	for name, ranges := range map[string]bool{"ranges": true, "no ranges": false} {
		t.Run(name, func(t *testing.T) {
			s := newRepository()
			s.before = func(w http.ResponseWriter, r *http.Request, nth int) bool {
				switch {
				case r.URL.Path == big && nth == 1:
					w.Write(content("big", 300_000)[:100_000])
					panic(http.ErrAbortHandler)
				case r.URL.Path == big && nth == 2:
					w.WriteHeader(502)
					return true
				case r.URL.Path == big && !ranges:
					w.Write(content("big", 300_000))
					return true
				}
				return false
			}
			dir, took, err := inBubble(t, s)
			if err != nil {
				t.Fatal(err)
			}
			checkFolder(t, dir, jars)
			if diff := cmp.Diff([]string{"", "bytes=100000-", "bytes=100000-"}, s.requests[big]); diff != "" {
				t.Errorf("ranges asked for (-want +got):\n%s", diff)
			}
			if want := 1500 * time.Millisecond; took != want {
				t.Errorf("two pauses took %v, want %v", took, want)
			}
		})
	}
}

// TestL6Redirect: redirects are followed.
func TestL6Redirect(t *testing.T) {
	s := newRepository()
	s.before = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Host == "jars.test" || r.Host == "jars.test" {
			http.Redirect(w, r, "http://mirror.test"+r.URL.Path, http.StatusFound)
			return true
		}
		return false
	}
	dir, _, err := inBubble(t, s)
	if err != nil {
		t.Fatal(err)
	}
	checkFolder(t, dir, jars)
}

// TestL6Proxy: by default the client honours the proxies of the environment.
func TestL6Proxy(t *testing.T) {
	if http.DefaultTransport.(*http.Transport).Proxy == nil {
		t.Error("the default transport uses no proxy")
	}
}

// TestL6Stalled: a server that sends nothing any more does not hold a launcher for ever.
func TestL6Stalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		_, err := javadaemon.Folder{Dir: t.TempDir(), Repository: base, Client: &http.Client{Transport: silent}}.Complete(t.Context(), jars[:1])
		if want := "download " + base + "/" + jars[0].Path() + ": no byte for 30s (4 tries)"; textOf(err) != want {
			t.Errorf("Complete: %v\nwant %s", err, want)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNoNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := roundTrip(func(*http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("dial tcp: lookup jars.test: no such host")
		})
		address := "http://me:secret@jars.test/maven2"
		_, err := javadaemon.Folder{Dir: t.TempDir(), Repository: address, Client: &http.Client{Transport: down}}.Complete(t.Context(), jars[:1])
		want := "download http://me:xxxxx@jars.test/maven2/" + jars[0].Path() + ": dial tcp: lookup jars.test: no such host (4 tries)"
		if textOf(err) != want {
			t.Errorf("Complete: %v\nwant %s", err, want)
		}
	})
}

func TestCancelledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, fmt.Errorf("enough"))
		defer cancel()
		s := newRepository()
		s.before = func(w http.ResponseWriter, _ *http.Request, _ int) bool { w.WriteHeader(503); return true }
		dir := t.TempDir()
		_, err := javadaemon.Folder{Dir: dir, Repository: base, Client: s.client()}.Complete(ctx, jars)
		if err == nil || !strings.HasSuffix(err.Error(), ": enough") {
			t.Errorf("Complete: %v, want the cause", err)
		}
		checkFolder(t, dir, nil)
	})
}

// TestSeveralLaunchers: several fill one folder at the same time, and each gets all.
func TestSeveralLaunchers(t *testing.T) {
	server := httptest.NewServer(newRepository())
	defer server.Close()
	dir := t.TempDir()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if paths, err := (javadaemon.Folder{Dir: dir, Repository: server.URL + "/maven2"}).Complete(t.Context(), jars); err != nil || len(paths) != len(jars) {
				t.Errorf("Complete = %v, %v", paths, err)
			}
		})
	}
	all.Wait()
	checkFolder(t, dir, jars)
}

func TestCheckRepository(t *testing.T) {
	for text, good := range map[string]bool{
		"https://host/maven2": true, "http://host:8080": true, "https://me:pw@host/a/b/": true,
		"host/maven2": false, "ftp://host/": false, "https://": false, "file:///x": false, "": false, "http://a b": false,
	} {
		err := javadaemon.CheckRepository(text)
		want := fmt.Sprintf("repository %q is not an address such as https://host/maven2", text)
		if good != (err == nil) || !good && err.Error() != want {
			t.Errorf("CheckRepository(%q) = %v", text, err)
		}
	}
}
