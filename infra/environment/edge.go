package environment

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"bookshelf/infra/observability/stack"
)

// Where the edge listens in its container.
const (
	edgeHTTPPort  = 8080
	edgeHTTPSPort = 8443
)

// Edge is the proxy in front of the slots. It owns the published ports and outlives every release: which slot gets how much traffic is
// told to it while it runs, and is no input of this resource.
type Edge struct {
	pulumi.ResourceState
	Data      *docker.Volume
	Container *docker.Container
}

func (e *environment) newEdge(network *Network, secrets *Secrets) (*Edge, error) {
	edge := &Edge{}
	child, err := e.component("Edge", "edge", edge)
	if err != nil {
		return nil, err
	}
	// Certificates, and what the slots are given: a certificate authority limits how often it issues the same again.
	if edge.Data, err = e.newVolume("edge-data", child); err != nil {
		return nil, err
	}
	if edge.Container, err = e.run("edge", e.proxy(edge.Data, network, secrets), child, secrets.Distributed); err != nil {
		return nil, fmt.Errorf("declare the edge: %w", err)
	}
	return edge, e.ctx.RegisterResourceOutputs(edge, pulumi.Map{})
}

func (e *environment) proxy(data *docker.Volume, network *Network, secrets *Secrets) container {
	return container{
		component: "edge",
		image:     pulumi.String(e.config.EdgeImage),
		user:      appUser,
		env:       e.edgeEnv(),
		volumes: docker.ContainerVolumeArray{
			volume(data.Name, "/data", false),
			volume(secrets.Edge.Name, secretsPath, true),
		},
		// The admin socket: reachable from inside of this container alone, and so only through the engine.
		tmpfs:    map[string]string{"/run/edge": "rw,noexec,nosuid,nodev,size=1m,uid=65532,gid=65532,mode=0700"},
		networks: docker.ContainerNetworksAdvancedArray{on(network.Public), on(network.Frontend, "edge")},
		ports:    e.edgePorts(),
		limits:   e.config.Edge,
		// Where it is watched.
		collected: e.config.Watching.Level != stack.Off,
		// Requests in flight may take as long as the service lets them.
		stopSignal: "SIGTERM", graceSeconds: 40, waitSeconds: 30,
	}
}

func (e *environment) edgeEnv() map[string]string {
	env := map[string]string{
		"EDGE_HTTP_ADDR": fmt.Sprintf(":%d", edgeHTTPPort),
		"EDGE_TLS":       e.config.TLS.Mode,
		// The collector works harder rather than let the kernel end the one way in.
		"GOMEMLIMIT": fmt.Sprintf("%dMiB", e.config.Edge.MemoryMiB*9/10),
	}
	if e.config.TLS.Mode == TLSOff {
		return env
	}
	env["EDGE_HTTPS_ADDR"] = fmt.Sprintf(":%d", edgeHTTPSPort)
	env["EDGE_HTTPS_PORT"] = strconv.Itoa(e.config.TLS.Port)
	if e.config.TLS.Mode == TLSFiles {
		// The names are in the certificate.
		env["EDGE_CERT_FILE"], env["EDGE_KEY_FILE"] = secretsPath+"/tls.crt", secretsPath+"/tls.key"
		return env
	}
	env["EDGE_HOSTS"] = strings.Join(e.config.TLS.Hosts, ",")
	if e.config.TLS.Mode == TLSACME {
		env["EDGE_ACME_DIRECTORY"] = e.config.TLS.Directory
		if e.config.TLS.Email != "" {
			env["EDGE_ACME_EMAIL"] = e.config.TLS.Email
		}
		if e.config.TLS.Roots != "" {
			env["EDGE_ACME_ROOTS"] = secretsPath + "/acme-roots.pem"
		}
	}
	return env
}

func (e *environment) edgePorts() docker.ContainerPortArray {
	published := func(internal, external int, protocol string) docker.ContainerPortArgs {
		return docker.ContainerPortArgs{
			Internal: pulumi.Int(internal), External: pulumi.Int(external), Ip: pulumi.String(e.config.Bind), Protocol: pulumi.String(protocol),
		}
	}
	ports := docker.ContainerPortArray{published(edgeHTTPPort, e.config.Port, "tcp")}
	if e.config.TLS.Mode != TLSOff {
		// In the order in which the provider reads them back: by port, then protocol.
		ports = append(ports, published(edgeHTTPSPort, e.config.TLS.Port, "tcp"), published(edgeHTTPSPort, e.config.TLS.Port, "udp"))
	}
	return ports
}
