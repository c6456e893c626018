// Package dynamolease keeps leases in DynamoDB.
package dynamolease
