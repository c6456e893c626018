package javadaemon_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/javadaemon"
)

// content is what the jar of a name holds in these tests.
func content(artifact string, size int) []byte {
	return bytes.Repeat([]byte(artifact+"!"), size/len(artifact)+1)[:size]
}

// made-up jars; big does not fit into one read.
var jars = []javadaemon.Jar{jar("big", 300_000), jar("small", 10), jar("middle", 5_000)}

func jar(artifact string, size int) javadaemon.Jar {
	return javadaemon.Jar{Group: "org.example", Artifact: artifact, Version: "1.0", Size: int64(size), SHA256: sumOf(content(artifact, size))}
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// put makes the file of a jar.
func put(t *testing.T, dir string, j javadaemon.Jar, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, j.File()), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// complete is a folder that has everything.
func complete(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, j := range jars {
		put(t, dir, j, content(j.Artifact, int(j.Size)))
	}
	return dir
}

// checkFolder fails the test unless a folder has these jars and nothing else.
func checkFolder(t *testing.T, dir string, want []javadaemon.Jar) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name()] = sumOf(text)
	}
	wanted := map[string]string{}
	for _, j := range want {
		wanted[j.File()] = j.SHA256
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("the folder (-want +got):\n%s", diff)
	}
}

// TestL8Offline: a complete folder needs neither network nor Maven, nor leave to write.
func TestL8Offline(t *testing.T) {
	dir := complete(t)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o755) })
	f := javadaemon.Folder{Dir: dir, Repository: "http://127.0.0.1:1/none", Maven: "/no/mvn"}
	paths, err := f.Complete(t.Context(), jars)
	want := []string{filepath.Join(dir, "big-1.0.jar"), filepath.Join(dir, "small-1.0.jar"), filepath.Join(dir, "middle-1.0.jar")}
	if diff := cmp.Diff(want, paths); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestMissingAndNothingToGetItWith(t *testing.T) {
	dir := complete(t)
	if err := os.Remove(filepath.Join(dir, jars[1].File())); err != nil {
		t.Fatal(err)
	}
	_, err := javadaemon.Folder{Dir: dir}.Complete(t.Context(), jars)
	if missing, ok := errors.AsType[*javadaemon.MissingError](err); !ok || missing.Error() != "1 of 3 jars are missing in "+dir {
		t.Errorf("Complete: %v", err)
	}
	none := filepath.Join(dir, "none")
	if _, err := (javadaemon.Folder{Dir: none}).Complete(t.Context(), jars); textOf(err) != "3 of 3 jars are missing in "+none {
		t.Errorf("Complete: %v", err)
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("a folder was made for nothing")
	}
}

// TestL5WrongFiles: a file that is not the jar it should be is neither used nor replaced.
func TestL5WrongFiles(t *testing.T) {
	right := content("small", 10)
	for name, tt := range map[string]struct {
		text []byte
		want string
	}{
		"half a jar": {right[:4], " is half a jar: it has 4 of 10 bytes; remove it, and the right one is fetched"},
		"nothing":    {nil, " is half a jar: it has 0 of 10 bytes; remove it, and the right one is fetched"},
		"longer":     {append(right[:10:10], 'x'), " is another jar than the locked one: it has 11 bytes, not 10; remove it, and the right one is fetched"},
		"checksum": {[]byte("SMALL!smal"), " is another jar than the locked one: its SHA-256 is " + sumOf([]byte("SMALL!smal")) + ", not " + jars[1].SHA256 +
			"; remove it, and the right one is fetched"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := complete(t)
			put(t, dir, jars[1], tt.text)
			path := filepath.Join(dir, jars[1].File())
			_, err := javadaemon.Folder{Dir: dir, Repository: "http://127.0.0.1:1"}.Complete(t.Context(), jars)
			if textOf(err) != path+tt.want {
				t.Errorf("Complete: %v\nwant %s", err, path+tt.want)
			}
			if text, err := os.ReadFile(path); err != nil || !bytes.Equal(text, tt.text) {
				t.Errorf("the file was changed: %q, %v", text, err)
			}
		})
	}
}

// TestSweep: what a killed launcher left is removed once it is old; what another launcher works on is not.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	old, young := filepath.Join(dir, ".unfinished-old"), filepath.Join(dir, ".unfinished-young")
	for _, file := range []string{old, young} {
		if err := os.WriteFile(file, []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	f := javadaemon.Folder{Dir: dir, Repository: "http://jars.test/maven2", Client: newRepository().client()}
	if _, err := f.Complete(t.Context(), jars); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("what was left behind a day ago is still there")
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("what may be another launcher's is gone: %v", err)
	}
}

// fakeMaven is what mvn does here: FAKE_MAVEN says how it goes wrong.
func fakeMaven(args []string) int {
	if os.Getenv("FAKE_MAVEN") == "fails" {
		fmt.Print("[INFO] Scanning\n[ERROR] Could not resolve dependencies: Unknown host jars.test -> [Help 1]\n[ERROR] more\n")
		return 1
	}
	var pom struct {
		Dependencies []struct {
			Artifact   string `xml:"artifactId"`
			Version    string `xml:"version"`
			Exclusions []struct {
				Artifact string `xml:"artifactId"`
			} `xml:"exclusions>exclusion"`
		} `xml:"dependencies>dependency"`
	}
	line := regexp.MustCompile(`^-B -f (\S+) dependency:copy-dependencies -DoutputDirectory=(\S+)$`).FindStringSubmatch(strings.Join(args, " "))
	if line == nil {
		return 2
	}
	text, err := os.ReadFile(line[1])
	if err != nil || xml.Unmarshal(text, &pom) != nil {
		return 3
	}
	sizes := map[string]int{}
	for _, j := range jars {
		sizes[j.Artifact] = int(j.Size)
	}
	for _, d := range pom.Dependencies {
		if len(d.Exclusions) != 1 || d.Exclusions[0].Artifact != "*" {
			return 4
		}
		text := content(d.Artifact, sizes[d.Artifact])
		switch os.Getenv("FAKE_MAVEN") {
		case "lacks":
			continue
		case "damages":
			text[0] = '?'
		}
		fmt.Printf("[INFO] Downloaded from test: x/%s.jar (1 kB)\n", d.Artifact)
		if err := os.WriteFile(filepath.Join(line[2], d.Artifact+"-"+d.Version+".jar"), text, 0o600); err != nil {
			return 5
		}
	}
	return 0
}

func TestMaven(t *testing.T) {
	mvn := link(t, t.TempDir(), "mvn")
	damaged := content("big", 300_000)
	damaged[0] = '?'
	for how, want := range map[string]string{
		"":        "",
		"fails":   "get 2 jars with Maven: exit status 1: Could not resolve dependencies: Unknown host jars.test",
		"lacks":   "get 2 jars with Maven: it brings no org.example:big:1.0",
		"damages": "get 2 jars with Maven: org.example:big:1.0: FILE is another jar than the locked one: its SHA-256 is " + sumOf(damaged) + ", not " + jars[0].SHA256,
	} {
		t.Run(how, func(t *testing.T) {
			t.Setenv("FAKE_MAVEN", how)
			dir := t.TempDir()
			put(t, dir, jars[1], content("small", 10))
			var last javadaemon.Progress
			f := javadaemon.Folder{Dir: dir, Maven: mvn, Progress: func(p javadaemon.Progress) { last = p }}
			_, err := f.Complete(t.Context(), jars)
			got := regexp.MustCompile(`\S+/big-1.0.jar`).ReplaceAllString(textOf(err), "FILE")
			if got != want {
				t.Errorf("Complete: %s, want %s", got, want)
			}
			if err != nil {
				checkFolder(t, dir, jars[1:2])
				return
			}
			checkFolder(t, dir, jars)
			if want := (javadaemon.Progress{Jars: 2, AllJars: 2, Maven: 2}); last != want {
				t.Errorf("progress at the end: %+v, want %+v", last, want)
			}
		})
	}
}

// TestLogConfig: the file is written once, and a launcher that may not write finds it.
func TestLogConfig(t *testing.T) {
	dir := t.TempDir()
	f := javadaemon.Folder{Dir: dir}
	path, err := f.LogConfig()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(text, []byte("System.err")) {
		t.Errorf("%s: %v\n%s", path, err, text)
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o755) })
	if again, err := f.LogConfig(); again != path || err != nil {
		t.Errorf("again: %s, %v; want %s", again, err, path)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}
