// Command pulumi-resource-docker is the resource plugin behind github.com/pulumi/pulumi-docker/sdk/v4, built from Go modules: the
// Pulumi Terraform bridge over the upstream Terraform docker provider. It is the fallback where the official plugin cannot be
// downloaded, and speaks the same resource tokens and property names as far as that SDK's plain resources go (docker.Image, which
// builds images, is left out on purpose: this project never builds in Pulumi).
package main

import (
	_ "embed"
	"strings"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"

	"github.com/terraform-providers/terraform-provider-docker/shim"
)

// version is the release of pulumi-docker whose SDK this plugin serves. The plugin protocol compares it with the SDK's own.
const version = "4.10.0"

// pulumiSchema is what the plugin answers when it is asked to describe itself. The Go SDK carries its own types and the engine
// needs nothing more than name and version.
const pulumiSchema = `{"name":"docker","version":"` + version + `"}`

// resources maps each upstream resource to the SDK's name of it.
var resources = map[string]string{
	"docker_buildx_builder": "BuildxBuilder",
	"docker_config":         "ServiceConfig",
	"docker_container":      "Container",
	"docker_image":          "RemoteImage",
	"docker_network":        "Network",
	"docker_plugin":         "Plugin",
	"docker_registry_image": "RegistryImage",
	"docker_secret":         "Secret",
	"docker_service":        "Service",
	"docker_tag":            "Tag",
	"docker_volume":         "Volume",
}

// dataSources maps each upstream data source to the SDK's function of it.
var dataSources = map[string]string{
	"docker_image":                    "getRemoteImage",
	"docker_logs":                     "getLogs",
	"docker_network":                  "getNetwork",
	"docker_plugin":                   "getPlugin",
	"docker_registry_image":           "getRegistryImage",
	"docker_registry_image_manifests": "getRegistryImageManifests",
}

func main() {
	tfbridge.Main("docker", version, providerInfo(), []byte(pulumiSchema))
}

func providerInfo() tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		P:            shimv2.NewProvider(shim.Provider(version)),
		Name:         "docker",
		Version:      version,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
		Resources:    make(map[string]*tfbridge.ResourceInfo, len(resources)),
		DataSources:  make(map[string]*tfbridge.DataSourceInfo, len(dataSources)),
	}
	for upstream, name := range resources {
		info.Resources[upstream] = &tfbridge.ResourceInfo{Tok: tokens.Type(token(name))}
	}
	for upstream, name := range dataSources {
		info.DataSources[upstream] = &tfbridge.DataSourceInfo{Tok: tokens.ModuleMember(token(name))}
	}
	// The two places where the SDK's name is not what the bridge makes of the upstream one.
	info.Resources["docker_container"].Fields = map[string]*tfbridge.SchemaInfo{
		"networks_advanced": {Name: "networksAdvanced"},
	}
	return info
}

// token is the SDK's full name of a resource or function: docker:index/container:Container.
func token(name string) string {
	return "docker:index/" + strings.ToLower(name[:1]) + name[1:] + ":" + name
}
