// Package fleet proves that Go and Java workers share one application on one lease table.
package fleet
