package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// contestant is one consumer.
type contestant struct {
	name   string
	binary string
	args   []string
	child  string // executableName in the properties file that takes the place of PROPERTIES in args; "" without one
	alone  bool   // it does not share shards with a second process
	fanOut bool
}

// field is all that was built.
type field struct {
	dir  string // for what is made on the way
	kcl  string
	list []contestant
}

const propertiesFile = "PROPERTIES"

// build compiles what is to be measured.
func build(ctx context.Context, dir string, o options) (field, error) {
	f := field{dir: dir}
	make := func(pkg string) (string, error) { return compile(ctx, ".", dir, pkg) }
	var err error
	if f.kcl, err = make("./cmd/kcl"); err != nil {
		return f, err
	}
	inprocess, err := make("./bench/consumers/inprocess")
	if err != nil {
		return f, err
	}
	child, err := make("./bench/consumers/child")
	if err != nil {
		return f, err
	}
	run, java := []string{"run", propertiesFile}, []string{"java", propertiesFile}
	f.list = append(f.list,
		contestant{name: "worker in process", binary: inprocess},
		contestant{name: "worker in process, fan-out", binary: inprocess, fanOut: true},
		contestant{name: "kcl run, Go child", binary: f.kcl, args: run, child: child})
	if o.java {
		f.list = append(f.list,
			contestant{name: "Java daemon, Go child", binary: f.kcl, args: java, child: child},
			contestant{name: "Java daemon, fan-out, Go child", binary: f.kcl, args: java, child: child, fanOut: true})
	}
	if o.python != "" {
		script, err := filepath.Abs("bench/consumers/kclpy/child.py")
		if err != nil {
			return f, err
		}
		python := "python3 " + script
		f.list = append(f.list, contestant{name: "kcl run, Python child", binary: f.kcl, args: run, child: python})
		if o.java {
			f.list = append(f.list, contestant{name: "Java daemon, Python child", binary: f.kcl, args: java, child: python})
		}
	}
	if o.before != "" {
		if err := f.addBefore(ctx, o.before); err != nil {
			return f, err
		}
	}
	if err := f.addPeers(ctx, o.peers); err != nil {
		return f, err
	}
	f.list = slices.DeleteFunc(f.list, func(c contestant) bool { return !strings.Contains(c.name, o.only) })
	return f, nil
}

func compile(ctx context.Context, module, dir, pkg string, flags ...string) (string, error) {
	binary := filepath.Join(dir, strings.Map(func(r rune) rune {
		if r == '/' || r == '.' {
			return '-'
		}
		return r
	}, module+pkg))
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build", "-o", binary}, flags, []string{pkg})...)
	cmd.Dir, cmd.Stderr = module, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s in %s: %w", pkg, module, err)
	}
	return binary, nil
}

// addBefore compiles the consumer of today with the engine of an older revision.
func (f *field) addBefore(ctx context.Context, revision string) error {
	tree := filepath.Join(f.dir, "before")
	git := exec.CommandContext(ctx, "git", "worktree", "add", "--detach", tree, revision)
	if out, err := git.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", git, err, out)
	}
	defer func() {
		_ = exec.Command("git", "worktree", "remove", "--force", tree).Run() // its folder goes with all the rest
	}()
	for _, pkg := range []string{"internal/tally", "internal/counting", "consumers/inprocess"} {
		to := filepath.Join(tree, "bench", pkg)
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		if err := os.CopyFS(to, os.DirFS(filepath.Join("bench", pkg))); err != nil {
			return err
		}
	}
	binary, err := compile(ctx, tree, f.dir, "./bench/consumers/inprocess", "-tags", "before")
	if err != nil {
		return err
	}
	f.list = append(f.list, contestant{name: "worker in process, " + revision, binary: binary})
	return nil
}

// addPeers compiles our consumers on other libraries inside their checkouts, which stay untouched.
func (f *field) addPeers(ctx context.Context, peers map[string]string) error {
	for _, name := range []string{"vmware", "harlow"} {
		dir, wanted := peers[name]
		if !wanted {
			continue
		}
		module, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		replace := map[string]string{}
		for to, from := range map[string]string{"main.go": "peers/" + name + "/main.go", "tally/tally.go": "internal/tally/tally.go"} {
			if replace[filepath.Join(module, "kclbench", to)], err = filepath.Abs(filepath.Join("bench", from)); err != nil {
				return err
			}
		}
		text, err := json.Marshal(map[string]any{"Replace": replace})
		if err != nil {
			return err
		}
		overlay := filepath.Join(f.dir, name+".json")
		if err := os.WriteFile(overlay, text, 0o600); err != nil {
			return err
		}
		binary, err := compile(ctx, module, f.dir, "./kclbench", "-tags", "peer", "-overlay", overlay)
		if err != nil {
			return err
		}
		f.list = append(f.list, contestant{name: name, binary: binary, alone: name == "harlow"})
	}
	return nil
}

// pollingKeys make a daemon poll as fast as the Java one can.
const pollingKeys = "retrievalMode = POLLING\nmaxRecords = 10000\nidleTimeBetweenReadsInMillis = 200\n"

// properties writes the file for a daemon.
func (f *field) properties(c contestant, s *server, application string, o options) (string, error) {
	name := filepath.Join(f.dir, application+".properties")
	text := fmt.Sprintf(`executableName = %s
streamName = %s
applicationName = %s
initialPositionInStream = TRIM_HORIZON
regionName = us-east-1
kinesisEndpoint = %s
dynamoDBEndpoint = %s
AwsCredentialsProvider = AnonymousCredentialsProvider
failoverTimeMillis = %d
metricsLevel = NONE
`, c.child, s.stream, application, s.endpoint, s.endpoint, o.failover.Milliseconds())
	switch {
	case c.fanOut:
		text += "retrievalMode = FANOUT\n"
	case c.args[0] == "run":
		text += pollingKeys + "unpacedReads = true\n" // ours: the embedded server has no limits to keep to
	default:
		text += pollingKeys
	}
	return name, os.WriteFile(name, []byte(text), 0o600)
}
