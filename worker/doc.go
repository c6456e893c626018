// Package worker is the native engine of the Kinesis Client Library.
package worker
