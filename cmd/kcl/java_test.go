package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kinesis-go/kcl/internal/javadaemon"
)

// jvm is a directory with what kcl java needs, all of it fake: this test binary in the place of Java, and one jar.
type jvm struct {
	dir, java, jars, lock, properties string
}

const fakeJar = "software/amazon/kinesis/amazon-kinesis-client-multilang/9.9/amazon-kinesis-client-multilang-9.9.jar"

// newJVM makes one, with its folder of jars complete, as the working directory.
func newJVM(t *testing.T) jvm {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	j := jvm{dir, dir + "/bin/java", dir + "/jars", dir + "/lock", dir + "/app.properties"}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("the daemon")
	sum := fmt.Sprintf("%x", sha256.Sum256(text))
	for _, err := range []error{
		os.Mkdir(dir+"/bin", 0o755), os.Mkdir(j.jars, 0o755), os.Symlink(self, j.java), os.Symlink(self, dir+"/bin/kcl"),
		os.WriteFile(filepath.Join(j.jars, filepath.Base(fakeJar)), text, 0o644),
		os.WriteFile(j.lock, []byte("software.amazon.kinesis:amazon-kinesis-client-multilang:9.9 "+fmt.Sprint(len(text))+" "+sum+"\n"), 0o644),
		os.WriteFile(j.properties, []byte("executableName = ./x\n"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, name := range []string{"JAVA_HOME", "KCL_MAVEN_REPOSITORY", "KCL_MVN_REPO_SEARCH_URL", "MAVEN_BASE_URL"} {
		t.Setenv(name, "")
	}
	t.Setenv("PATH", "/no/programs")
	t.Setenv("GORACE", "atexit_sleep_ms=0") // else each fake ends a second later under the race detector
	return j
}

// args are a whole command line.
func (j jvm) args(more ...string) []string {
	return append([]string{"java", "-properties", j.properties, "-java", j.java, "-jar_path", j.jars, "-lock", j.lock}, more...)
}

// fakeJava is what java does in these tests; FAKE_JAVA says how.
func fakeJava(args []string) int {
	if len(args) == 1 && args[0] == "-version" {
		version := "17.0.15"
		if v := os.Getenv("FAKE_JAVA_VERSION"); v != "" {
			version = v
		}
		fmt.Fprintf(os.Stderr, "openjdk version %q 2025-04-15\n", version)
		return 0
	}
	signals := make(chan os.Signal, 10)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	how, number, _ := strings.Cut(os.Getenv("FAKE_JAVA"), "=")
	n, _ := strconv.Atoi(number)
	switch how {
	case "exit":
		return n
	case "tell":
		here, _ := os.Getwd()
		_ = json.NewEncoder(os.Stdout).Encode(append(args, here))
	case "flood":
		for _, f := range []*os.File{os.Stdout, os.Stderr} {
			fmt.Fprint(f, strings.Repeat("x", n))
		}
	case "kill":
		self, _ := os.FindProcess(os.Getpid())
		_ = self.Kill()
		select {}
	case "serve", "deaf":
		startStubborn()
		fmt.Println("ready")
		got := <-signals
		fmt.Println(got)
		if how == "deaf" {
			<-time.After(2 * time.Minute)
		}
		return 128 + int(got.(syscall.Signal))
	case "stubborn":
		fmt.Println("child")
		<-time.After(2 * time.Minute) // so that a test that fails leaves nothing behind
	}
	return 0
}

// startStubborn starts a child that no signal ends but SIGKILL, and that holds stdout open; it returns once that runs.
func startStubborn() {
	child := exec.Command(os.Args[0], "stubborn")
	child.Env = append(os.Environ(), "FAKE_JAVA=stubborn")
	child.Stdout = os.Stdout
	if err := child.Start(); err != nil {
		panic(err)
	}
}

// TestL1L2L3L12L15JavaCommandLine looks from the outside at what the JVM is given, with the flags of the older launcher too.
func TestL1L2L3L12L15JavaCommandLine(t *testing.T) {
	j := newJVM(t)
	t.Setenv("FAKE_JAVA", "tell")
	for _, name := range []string{"classes", "log.xml"} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	daemon := []string{"software.amazon.kinesis.multilang.MultiLangDaemon", "--properties-file", j.properties}
	for name, tt := range map[string]struct {
		args                       []string
		options, classPath, behind []string
	}{
		"older launcher": {j.args(), nil, nil, nil},
		"all flags": {j.args("-jvm-option", "-Xmx1g", "--jvm-option=-Da=b c", "-classpath", "classes:"+j.dir, "-log-configuration", "log.xml"),
			[]string{"-Xmx1g", "-Da=b c"}, []string{"classes", j.dir}, []string{"--log-configuration", "log.xml", j.dir}},
		"an argument": {[]string{"java", "app.properties", "--java=" + j.java, "--jar_path", "jars", "-lock", "lock"}, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := kcl(t, "", tt.args...)
			var got []string
			if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != 0 {
				t.Fatalf("%v: %v", r, err)
			}
			for i, a := range got {
				if own, ok := strings.CutPrefix(a, "-Dlogback.configurationFile="); ok && filepath.Dir(own) == j.jars {
					got[i] = "our log"
				}
			}
			jars := filepath.Join(j.jars, filepath.Base(fakeJar))
			want := []string{"-Dfile.encoding=UTF-8"}
			if tt.behind == nil {
				want, tt.behind = append(want, "our log"), []string{j.dir}
			}
			want = append(append(want, tt.options...), "-cp", strings.Join(append(tt.classPath, jars, j.dir), ":"))
			want = append(append(want, daemon...), tt.behind...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what Java is given, and its working directory (-want +got):\n%s", diff)
			}
		})
	}
}

// TestL13Print prints what would run, and runs nothing.
func TestL13Print(t *testing.T) {
	j := newJVM(t)
	t.Setenv("FAKE_JAVA", "exit=9")
	r := kcl(t, "", j.args("-print", "-jvm-option", "-Da=b c")...)
	if r.code != 0 || !strings.HasPrefix(r.stdout, j.java+" -Dfile.encoding=UTF-8 ") || !strings.Contains(r.stdout, " '-Da=b c' -cp ") || r.stderr != "" {
		t.Errorf("%v", r)
	}
}

// TestL16NoExecutable: nothing is looked for, and nothing downloaded, for a properties file that cannot work.
func TestL16NoExecutable(t *testing.T) {
	j := newJVM(t)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("a request for %s", r.URL) }))
	defer server.Close()
	for text, want := range map[string]string{
		"streamName = orders\n":                    "app.properties: executableName is required: the program to start for each shard",
		"# executableName = x\nExecutableName=x\n": "app.properties: executableName is required: the program to start for each shard",
		"\nexecutableName = \n":                    "app.properties:2: executableName is empty; it is the program to start for each shard",
		"executableName = x\\u00zz\n":              "app.properties:1: ",
	} {
		if err := os.WriteFile(j.properties, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r := kcl(t, "", "java", "app.properties", "-java", "/no/java", "-jar_path", j.dir+"/none", "-repository", server.URL)
		if r.code != exitFailure || r.stdout != "" || !strings.HasPrefix(r.stderr, "kcl: "+want) {
			t.Errorf("%q: %v, want %s", text, r, want)
		}
	}
	if _, err := os.Stat("none"); err == nil {
		t.Error("a jar folder was made")
	}
}

// TestJavaErrors: each with its whole text.
func TestJavaErrors(t *testing.T) {
	j := newJVM(t)
	if err := os.Mkdir("broken", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("broken", filepath.Base(fakeJar)), []byte("the d"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		env  string
		code int
		want string
	}{
		"no file":       {[]string{"java"}, "", 2, "which properties file? Give it as an argument, or with -properties"},
		"two files":     {j.args("b"), "", 2, fmt.Sprintf("one properties file, not 2: [%q \"b\"]", j.properties)},
		"misspelt":      {[]string{"java", "-propertis", "a"}, "", 2, "kcl java has no flag -propertis; did you mean -properties?"},
		"bad address":   {j.args("-repository", "repo"), "", 2, `repository "repo" is not an address such as https://host/maven2`},
		"bad variable":  {j.args(), "MAVEN_BASE_URL=repo", 2, `repository "repo" is not an address such as https://host/maven2`},
		"no such file":  {[]string{"java", "none.properties"}, "", 1, "read the properties file: open none.properties: no such file or directory"},
		"no such log":   {j.args("-l", "none.xml"), "", 1, "log configuration: stat none.xml: no such file or directory"},
		"no such entry": {j.args("-classpath", "none.jar"), "", 1, "class path: stat none.jar: no such file or directory"},
		"no Java":       {[]string{"java", "app.properties"}, "", 1, "no Java: JAVA_HOME is not set, and the PATH has no java; install a Java runtime, version 8 or newer"},
		"no such Java":  {j.args("-java", "/no/java"), "", 1, `no Java: exec: "/no/java": stat /no/java: no such file or directory`},
		"no Java home":  {[]string{"java", "app.properties"}, "JAVA_HOME=/no", 1, `no Java where JAVA_HOME says: exec: "/no/bin/java": stat /no/bin/java: no such file or directory`},
		"too old":       {j.args(), "FAKE_JAVA_VERSION=1.7.0_80", 1, j.java + " is Java 1.7.0_80, which is too old: the daemon needs 8 or newer"},
		"no such lock":  {j.args("-lock", "none"), "", 1, "read the lock: open none: no such file or directory"},
		"bad lock":      {j.args("-lock", "app.properties"), "", 1, `app.properties:1: "executableName" is not group:artifact:version`},
		"half a jar":    {j.args("-jar_path", "broken"), "", 1, j.dir + "/broken/" + filepath.Base(fakeJar) + " is half a jar: it has 5 of 10 bytes; remove it, and the right one is fetched"},
		"no jars": {j.args("-jar_path", "none"), "", 1, "1 of 1 jars are missing in " + j.dir +
			"/none: install Maven (mvn), or name a Maven repository with -repository or KCL_MAVEN_REPOSITORY"},
	} {
		t.Run(name, func(t *testing.T) {
			if key, value, ok := strings.Cut(tt.env, "="); ok {
				t.Setenv(key, value)
			}
			want := result{code: tt.code, stderr: "kcl: " + tt.want + "\n"}
			if diff := cmp.Diff(want.String(), kcl(t, "", tt.args...).String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestL6JavaDownload: from the repository that a flag or the environment names, in this order, with plain lines of progress.
func TestL6JavaDownload(t *testing.T) {
	j := newJVM(t)
	t.Setenv("FAKE_JAVA", "exit=0")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/right/"+fakeJar {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, "the daemon")
	}))
	defer server.Close()
	right, wrong := server.URL+"/right", server.URL+"/wrong"
	for i, tt := range []struct{ flag, first, second, third string }{
		{right, wrong, wrong, wrong}, {"", right, wrong, wrong}, {"", "", right, wrong}, {"", "", "", right},
	} {
		t.Setenv("KCL_MAVEN_REPOSITORY", tt.first)
		t.Setenv("KCL_MVN_REPO_SEARCH_URL", tt.second)
		t.Setenv("MAVEN_BASE_URL", tt.third)
		dir := fmt.Sprint(j.dir, "/new", i)
		want := result{stderr: "kcl: getting 1 jar (10 B) from " + right + " into " + dir + "\nkcl: 1 of 1 jars, 10 B of 10 B\n"}
		if got := kcl(t, "", j.args("-jar_path", dir, "-repository", tt.flag)...); got != want {
			t.Errorf("%+v: %v", tt, cmp.Diff(want.String(), got.String()))
		}
		want.stderr = ""
		if got := kcl(t, "", j.args("-jar_path", dir, "-repository", "http://127.0.0.1:1")...); got != want {
			t.Errorf("again: %v", got)
		}
	}
	r := kcl(t, "", j.args("-jar_path", j.dir+"/new9", "-repository", wrong)...)
	if want := "kcl: download " + wrong + "/" + fakeJar + ": the repository answers 404 Not Found\n"; r.code != 1 || !strings.HasSuffix(r.stderr, want) {
		t.Errorf("%v, want %s", r, want)
	}
}

// TestJavaProgressOnTerminal: on a terminal one line is written over and over.
func TestJavaProgressOnTerminal(t *testing.T) {
	var out strings.Builder
	p := &jarProgress{out: &out, live: true, from: "with Maven", dir: "/jars"}
	for _, u := range []javadaemon.Progress{{AllJars: 3}, {AllJars: 3, Maven: 12}, {AllJars: 3, Jars: 3}} {
		p.update(u)
	}
	p.end()
	want := fmt.Sprintf("kcl: getting 3 jars with Maven into /jars\n\r0 of 3 jars\r0 of 3 jars, Maven has downloaded 12 files\r%-42s\n", "3 of 3 jars")
	if out.String() != want {
		t.Errorf("%q\nwant %q", out.String(), want)
	}
}

// TestL10ExitCode: Java's is ours.
func TestL10ExitCode(t *testing.T) {
	j := newJVM(t)
	for how, want := range map[string]int{"exit=0": 0, "exit=1": 1, "exit=7": 7, "exit=143": 143, "kill": 137} {
		t.Setenv("FAKE_JAVA", how)
		if r := kcl(t, "", j.args()...); r.code != want || r.stdout != "" || r.stderr != "" {
			t.Errorf("%s: %v, want exit %d and no word of ours", how, r, want)
		}
	}
}

// TestL11Output: lines of any length pass, on both streams.
func TestL11Output(t *testing.T) {
	j := newJVM(t)
	t.Setenv("FAKE_JAVA", "flood=3000000")
	r := kcl(t, "", j.args()...)
	if line := strings.Repeat("x", 3000000); r.code != 0 || r.stdout != line || r.stderr != line {
		t.Errorf("exit %d, %d and %d bytes", r.code, len(r.stdout), len(r.stderr))
	}
}
