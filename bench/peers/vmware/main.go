//go:build peer

// Command vmware is the record processor of the comparisons on vmware-go-kcl-v2. It is compiled inside a checkout of that
// module; see the README of bench.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/sirupsen/logrus"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/config"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/interfaces"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/worker"
	"github.com/vmware/vmware-go-kcl-v2/logger"

	"github.com/vmware/vmware-go-kcl-v2/kclbench/tally"
)

func main() {
	failover, err := strconv.Atoi(os.Getenv("KCL_BENCH_FAILOVER_MILLIS"))
	if err != nil {
		log.Fatal(err)
	}
	endpoint := os.Getenv("AWS_ENDPOINT_URL")
	quiet := logrus.New()
	quiet.SetLevel(logrus.WarnLevel)
	cfg := config.NewKinesisClientLibConfig(os.Getenv("KCL_BENCH_APPLICATION"), os.Getenv("KCL_BENCH_STREAM"), os.Getenv("AWS_REGION"), strconv.Itoa(os.Getpid())).
		WithInitialPositionInStream(config.TRIM_HORIZON).
		WithMaxRecords(10_000).
		WithMaxLeasesForWorker(1000).
		WithIdleTimeBetweenReadsInMillis(200).
		WithShardSyncIntervalMillis(1000).
		WithFailoverTimeMillis(failover).
		WithKinesisEndpoint(endpoint).
		WithDynamoDBEndpoint(endpoint).
		WithLogger(logger.NewLogrusLogger(quiet))
	w := worker.NewWorker(factory{}, cfg).WithKinesis(client(endpoint))
	if err := w.Start(); err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	w.Shutdown()
}

// client reads bodies in a way that is not hit by a race of the SDK with fast servers, which closes the connection under an
// answer; this library takes that for the end of a shard's reading, for ever.
func client(endpoint string) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: os.Getenv("AWS_REGION"), BaseEndpoint: &endpoint, HTTPClient: &http.Client{Transport: plainBodies{}},
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
	})
}

type plainBodies struct{}

func (plainBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body} // hides WriterTo
	}
	return http.DefaultTransport.RoundTrip(r)
}

type factory struct{}

func (factory) CreateProcessor() interfaces.IRecordProcessor { return &counter{} }

type counter struct{ file *tally.File }

func (c *counter) Initialize(in *interfaces.InitializationInput) {
	f, err := tally.Open(os.Getenv("KCL_BENCH_DIR"), in.ShardId)
	if err != nil {
		log.Fatal(err)
	}
	c.file = f
}

func (c *counter) ProcessRecords(in *interfaces.ProcessRecordsInput) {
	if len(in.Records) == 0 {
		return
	}
	var bytes int64
	for i := range in.Records {
		bytes += int64(len(in.Records[i].Data))
	}
	if err := c.file.Add(len(in.Records), bytes); err != nil {
		log.Fatal(err)
	}
	if err := in.Checkpointer.Checkpoint(in.Records[len(in.Records)-1].SequenceNumber); err != nil {
		log.Print(err)
	}
}

func (c *counter) Shutdown(in *interfaces.ShutdownInput) {
	if in.ShutdownReason == interfaces.TERMINATE {
		if err := in.Checkpointer.Checkpoint(aws.String("")); err != nil {
			log.Print(err)
		}
	}
}
