// Command kcl reads Amazon Kinesis streams with many workers, and brings what is needed to try that on a laptop.
//
//	kcl demo                         watch workers come and go while records flow, with a verdict at the end
//	kcl local                        serve Kinesis and DynamoDB on this machine
//	kcl put  -stream orders          put lines of stdin, or generated records, into a stream
//	kcl tail -stream orders          print a stream's records
//	kcl run  app.properties          run a MultiLang program in any language: Amazon's MultiLangDaemon without the JVM
//	kcl java app.properties          run it under Amazon's own daemon, in a JVM
//	kcl leases  -application orders  who owns which shard, and up to where it is read
//	kcl workers -application orders  the workers, their load and whether they live
//	kcl lag     -application orders  how far behind each shard is, with -stream orders
//	kcl doctor  -application orders  whether a worker could start here, with -stream orders
//	kcl release -application orders  take leases from their worker
//	kcl rewind  -application orders  read again from an earlier place, or skip ahead
//	kcl cost -shards 100 -workers 5  compute what coordination costs in DynamoDB
//	kcl version                      what this is
//
// Results go to stdout and talk to stderr, with -json in a form for machines. Flags take one dash or two. The exit code is 0
// for success, 1 for failure and 2 for wrong usage; run and java differ, as their -help says. The first Ctrl-C or SIGTERM ends a
// command cleanly, the second at once.
//
// The AWS SDK's environment and files apply: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL and so on. Where the endpoint is on
// this machine and no credentials are configured, kcl makes some up, and a region: a local server looks at none.
package main
