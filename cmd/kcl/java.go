package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kinesis-go/kcl/internal/javadaemon"
	"github.com/kinesis-go/kcl/internal/props"
)

// javaFlags are the command line of kcl java. Some have the names of the older launcher.
type javaFlags struct {
	properties once
	java       string
	jars       string
	lock       string
	repository string
	log        string
	classPath  []string
	options    []string
	print      bool
}

func (a *app) javaCommand() *cobra.Command {
	var f javaFlags
	cmd := &cobra.Command{
		Use:   "java <app.properties> [flags]",
		Short: "Run a MultiLang program under Amazon's own daemon, in a JVM",
		Long: `Run the program that a properties file names under Amazon's MultiLangDaemon, version ` + daemonVersion(javadaemon.Closure()) + `, in a JVM. kcl run does the same
without one; this is for those who want Amazon's daemon itself, and for comparing the two.

Java (8 or newer) is that of -java, else of JAVA_HOME, else of the PATH. The jars are looked for in the jar folder. What is
missing there comes from the Maven repository that -repository or the environment (KCL_MAVEN_REPOSITORY, else
KCL_MVN_REPO_SEARCH_URL, else MAVEN_BASE_URL) names, else from Maven, where mvn is installed. Every jar is checked against the
SHA-256 that kcl knows, at each start; once all are there, no network is needed.

SIGTERM, SIGINT and SIGHUP are passed on to the JVM, which lets programs finish within shutdownGraceMillis (0 unless the
properties file says more); the second signal ends it and its programs at once. The exit code is the JVM's: 143 after SIGTERM,
even when all went well. It is 1 if the JVM could not be started, and 2 for a mistake in the command line. The daemon logs to
stderr, unless -log-configuration or a logback.xml of your class path says otherwise.

Against kcl local the properties file needs kinesisEndpoint and dynamoDBEndpoint, regionName, any credentials
(AwsCredentialsProvider = AnonymousCredentialsProvider), and metricsLevel = NONE or cloudWatchClient.endpointOverride. Both
ways to read work, retrievalMode = POLLING and FANOUT; fan-out speaks HTTP/2 without TLS to an http address.`,
		Example: `  kcl java app.properties
  kcl java -properties app.properties -jar_path lib/jar -java /usr/bin/java
  kcl java app.properties -jvm-option -Xmx512m -jvm-option -XX:+UseSerialGC
  kcl java app.properties -print`,
		Args: cobra.ArbitraryArgs,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.VarP(&f.properties, "properties", "p", "the properties `file`; the same as an argument")
	flags.StringVarP(&f.java, "java", "j", "", "the Java `program`")
	flags.StringVar(&f.jars, "jar_path", "", "the `folder` of the jars (default one in your cache)")
	flags.StringVar(&f.repository, "repository", "", "the base `address` of a Maven repository")
	flags.StringArrayVarP(&f.classPath, "classpath", "c", nil, "`entries` of the class path before the jars; may be repeated")
	flags.StringArrayVar(&f.options, "jvm-option", nil, "an `option` for the JVM; may be repeated")
	flags.StringVarP(&f.log, "log-configuration", "l", "", "a logback `file`")
	flags.StringVar(&f.lock, "lock", "", "a `file` that names other jars, made by lockgen")
	flags.BoolVar(&f.print, "print", false, "get everything ready and print the command, for a shell, instead of running it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runJava(cmd.Context(), f, args) }
	return cmd
}

// daemonVersion is the version of the MultiLangDaemon among jars.
func daemonVersion(jars []javadaemon.Jar) string {
	for _, j := range jars {
		if j.Artifact == "amazon-kinesis-client-multilang" {
			return j.Version
		}
	}
	return "unknown"
}

func (a *app) runJava(ctx context.Context, f javaFlags, args []string) error {
	path, err := f.file(args)
	if err != nil {
		return err
	}
	if err := startable(path); err != nil {
		return err
	}
	c, err := a.prepareJava(ctx, f, path)
	if err != nil {
		return err
	}
	line, err := c.Args()
	if err != nil {
		return err
	}
	if f.print {
		_, err := fmt.Fprintln(a.stdout, javadaemon.Quote(line))
		return err
	}
	return a.runJVM(ctx, line)
}

// file tells which properties file is meant.
func (f javaFlags) file(args []string) (string, error) {
	if f.properties.value != "" {
		args = append([]string{f.properties.value}, args...)
	}
	switch len(args) {
	case 0:
		return "", usagef("which properties file? Give it as an argument, or with -properties")
	case 1:
		return args[0], nil
	}
	return "", usagef("one properties file, not %d: %q", len(args), args)
}

// startable returns an error if the daemon would not start with a properties file, or only start to fail at the first shard.
func startable(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the properties file: %w", err)
	}
	entries, err := props.Parse(path, text)
	if err != nil {
		return err
	}
	found := props.Entry{}
	for _, e := range entries {
		if e.Key == "executableName" {
			found = e
		}
	}
	switch {
	case found.Line == 0:
		return fmt.Errorf("%s: executableName is required: the program to start for each shard", path)
	case found.Value == "":
		return fmt.Errorf("%s:%d: executableName is empty; it is the program to start for each shard", path, found.Line)
	}
	return nil
}

// prepareJava gets ready what the command line needs: first what costs nothing, the jars last.
func (a *app) prepareJava(ctx context.Context, f javaFlags, properties string) (javadaemon.Command, error) {
	c := javadaemon.Command{Options: f.options, Properties: properties, LogConfig: f.log}
	if f.log != "" {
		if _, err := os.Stat(f.log); err != nil {
			return c, fmt.Errorf("log configuration: %w", err)
		}
	}
	for _, list := range f.classPath {
		for _, entry := range filepath.SplitList(list) {
			if entry != "" {
				c.ClassPath = append(c.ClassPath, entry)
			}
		}
	}
	if err := javadaemon.CheckClassPath(c.ClassPath); err != nil {
		return c, err
	}
	java, err := javadaemon.FindJava(ctx, f.java, os.Getenv("JAVA_HOME"))
	if err != nil {
		return c, err
	}
	c.Java = java.Path
	jars, err := f.closure()
	if err != nil {
		return c, err
	}
	folder, err := f.folder(jars)
	if err != nil {
		return c, err
	}
	c.Jars, err = a.completeJars(ctx, folder, jars)
	if err != nil {
		return c, err
	}
	if c.OwnLog, err = folder.LogConfig(); err != nil {
		fmt.Fprintf(a.stderr, "kcl: the daemon logs to stdout, as Amazon configures it: %v\n", err)
	}
	return c, nil
}

func (f javaFlags) closure() ([]javadaemon.Jar, error) {
	if f.lock == "" {
		return javadaemon.Closure(), nil
	}
	text, err := os.ReadFile(f.lock)
	if err != nil {
		return nil, fmt.Errorf("read the lock: %w", err)
	}
	return javadaemon.ParseLock(f.lock, string(text))
}

// folder is where the jars are, and where missing ones come from.
func (f javaFlags) folder(jars []javadaemon.Jar) (javadaemon.Folder, error) {
	folder := javadaemon.Folder{Dir: f.jars, Repository: f.repository}
	if folder.Dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return folder, fmt.Errorf("there is no cache for the jars; name a folder with -jar_path: %w", err)
		}
		folder.Dir = filepath.Join(cache, "kcl", "multilang-"+daemonVersion(jars))
	}
	for _, name := range []string{"KCL_MAVEN_REPOSITORY", "KCL_MVN_REPO_SEARCH_URL", "MAVEN_BASE_URL"} {
		if folder.Repository == "" {
			folder.Repository = os.Getenv(name)
		}
	}
	if folder.Repository != "" {
		if err := javadaemon.CheckRepository(folder.Repository); err != nil {
			return folder, usageError{err}
		}
	}
	if mvn, err := exec.LookPath("mvn"); err == nil {
		folder.Maven = mvn
	}
	return folder, nil
}

// completeJars gets what is missing, and shows how that goes.
func (a *app) completeJars(ctx context.Context, folder javadaemon.Folder, jars []javadaemon.Jar) ([]string, error) {
	show := &jarProgress{out: a.stderr, live: isTerminal(a.stderr), from: "with Maven", dir: folder.Dir}
	if folder.Repository != "" {
		show.from = "from a repository"
		if u, err := url.Parse(folder.Repository); err == nil {
			show.from = "from " + u.Redacted()
		}
	}
	folder.Progress = show.update
	paths, err := folder.Complete(ctx, jars)
	show.end()
	if missing, ok := errors.AsType[*javadaemon.MissingError](err); ok {
		return nil, fmt.Errorf("%w: install Maven (mvn), or name a Maven repository with -repository or KCL_MAVEN_REPOSITORY", missing)
	}
	return paths, err
}
