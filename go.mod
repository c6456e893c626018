module github.com/kinesis-go/kcl

go 1.26.0

require (
	github.com/BurntSushi/toml v1.4.1-0.20240526193622-a339e1f7089c
	github.com/aws/aws-sdk-go-v2 v1.41.3
	github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream v1.7.6
	github.com/aws/aws-sdk-go-v2/config v1.32.11
	github.com/aws/aws-sdk-go-v2/credentials v1.19.11
	github.com/aws/aws-sdk-go-v2/feature/ec2/imds v1.18.19
	github.com/aws/aws-sdk-go-v2/internal/configsources v1.4.19
	github.com/aws/aws-sdk-go-v2/internal/endpoints/v2 v2.7.19
	github.com/aws/aws-sdk-go-v2/internal/ini v1.8.5
	github.com/aws/aws-sdk-go-v2/service/dynamodb v1.56.1
	github.com/aws/aws-sdk-go-v2/service/internal/accept-encoding v1.13.6
	github.com/aws/aws-sdk-go-v2/service/internal/endpoint-discovery v1.11.19
	github.com/aws/aws-sdk-go-v2/service/internal/presigned-url v1.13.19
	github.com/aws/aws-sdk-go-v2/service/kinesis v1.43.2
	github.com/aws/aws-sdk-go-v2/service/signin v1.0.7
	github.com/aws/aws-sdk-go-v2/service/sso v1.30.12
	github.com/aws/aws-sdk-go-v2/service/ssooidc v1.35.16
	github.com/aws/aws-sdk-go-v2/service/sts v1.41.8
	github.com/aws/smithy-go v1.24.2
	github.com/fxamacker/cbor/v2 v2.9.2
	github.com/google/go-cmp v0.7.0
	github.com/google/uuid v1.6.0
	github.com/inconshreveable/mousetrap v1.1.0
	github.com/spf13/cobra v1.10.2
	github.com/spf13/pflag v1.0.9
	github.com/x448/float16 v0.8.4
	golang.org/x/exp/typeparams v0.0.0-20231108232855-2478ac86f678
	golang.org/x/mod v0.41.0
	golang.org/x/sync v0.23.0
	golang.org/x/sys v0.49.0
	golang.org/x/term v0.47.0
	golang.org/x/tools v0.51.0
	honnef.co/go/tools v0.8.2
)

tool honnef.co/go/tools/cmd/staticcheck
