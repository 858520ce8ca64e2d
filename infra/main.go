// Command infra is the Pulumi program of an environment. `pulumi up` runs it where the Pulumi CLI and its Go language host are
// installed; `deliver` runs the same function through Pulumi's Automation API.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"bookshelf/infra/environment"
)

func main() {
	pulumi.Run(environment.Deploy)
}
