// Package javadaemon gets Amazon's MultiLangDaemon, a Java program, ready to run: the jars it needs, and its command line.
//
//	closure.lock ── Closure ──┐
//	                          ├─ Folder.Complete ── paths ── Command.Args ── exec
//	jar folder, Maven, or a ──┘                               │
//	repository that the user names        FindJava, user's class path, properties file
//
// The lock names every jar with its size and SHA-256, as Maven resolves the daemon's own POM, without an exclusion: what
// Amazon declares is what runs. No jar is used that was not checked against the lock in the same call, and a file appears in
// the folder only when it is whole and right, so that several launchers may share a folder and one that is killed leaves
// nothing that another could mistake for a jar. When the folder is complete, nothing but the folder is touched.
//
// The package starts no JVM but for asking its version; signals, output and exit codes are the caller's.
//
// To move to another version of the daemon, change it in lockgen/pom.xml and run go generate here.
package javadaemon

//go:generate go run ./lockgen -pom lockgen/pom.xml -out closure.lock
