// Package shim reaches the Terraform docker provider, which lives in an internal package of its module: a package whose path
// starts with that module's path may import it.
package shim

import (
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"

	"github.com/terraform-providers/terraform-provider-docker/internal/provider"
)

// Provider returns the upstream provider, reporting version as its own.
func Provider(version string) *schema.Provider { return provider.New(version)() }
