package environment

import (
	"fmt"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// apiPort and adminPort are where the service listens in its container, see docs/contract.md.
const (
	apiPort   = 8080
	adminPort = 9090
)

// App is one slot of the service: the migration that its version needs and the container that serves.
type App struct {
	pulumi.ResourceState
	slot      string
	Migration *docker.Container
	Container *docker.Container
}

// newApp declares the slot. The published port is the slot's own while there is one slot.
func (e *environment) newApp(slot string, network *Network, database *Database, secrets *Secrets) (*App, error) {
	a := &App{slot: slot}
	child, err := e.component("App", "app-"+slot, a)
	if err != nil {
		return nil, err
	}
	if a.Migration, err = e.run("migration-"+slot, e.migration(slot, network, secrets), child, secrets.Distributed, database.Ready); err != nil {
		return nil, fmt.Errorf("declare the migration: %w", err)
	}
	if a.Container, err = e.run("app-"+slot, e.server(slot, network, secrets), child, secrets.Distributed, once(a.Migration, "migration")); err != nil {
		return nil, fmt.Errorf("declare the app: %w", err)
	}
	return a, e.ctx.RegisterResourceOutputs(a, pulumi.Map{"image": a.Container.Image})
}

func (e *environment) migration(slot string, network *Network, secrets *Secrets) container {
	return container{
		component: "migration", slot: slot, task: true,
		image:    pulumi.String(e.config.Image),
		user:     appUser,
		command:  []string{"migrate"},
		env:      e.databaseEnv("owner"),
		volumes:  docker.ContainerVolumeArray{volume(secrets.Migration.Name, secretsPath, true)},
		networks: docker.ContainerNetworksAdvancedArray{on(network.Backend)},
		limits:   Limits{MemoryMiB: 128, CPUs: "1"},
	}
}

func (e *environment) server(slot string, network *Network, secrets *Secrets) container {
	stop := e.config.ShutdownGrace + drainTime
	env := e.databaseEnv("app_a")
	env["HTTP_ADDR"] = fmt.Sprintf(":%d", apiPort)
	env["ADMIN_ADDR"] = fmt.Sprintf(":%d", adminPort)
	env["LOG_LEVEL"] = e.config.LogLevel
	env["SHUTDOWN_GRACE"] = e.config.ShutdownGrace.String()
	env["SHUTDOWN_TIMEOUT"] = stop.String()
	return container{
		component: "app", slot: slot,
		image:   pulumi.String(e.config.Image),
		user:    appUser,
		command: []string{"serve"},
		env:     env,
		volumes: docker.ContainerVolumeArray{volume(secrets.App.Name, secretsPath, true)},
		networks: docker.ContainerNetworksAdvancedArray{
			on(network.Backend, "app-"+slot),
			on(network.Frontend, "app-"+slot),
		},
		ports: docker.ContainerPortArray{docker.ContainerPortArgs{
			Internal: pulumi.Int(apiPort), External: pulumi.Int(e.config.Port), Ip: pulumi.String(e.config.Bind), Protocol: pulumi.String("tcp"),
		}},
		// The health check is the image's own, see the contract.
		limits: e.config.App,
		// A little more than the app's own deadline: it should end by itself, with its last log line.
		stopSignal: "SIGTERM", graceSeconds: int(stop.Seconds()) + 10, waitSeconds: 60,
	}
}

// databaseEnv is the part of the contract's environment that says how to reach the database, as the role of that suffix.
func (e *environment) databaseEnv(role string) map[string]string {
	return map[string]string{
		"DB_HOST":          databaseHost,
		"DB_PORT":          "5432",
		"DB_NAME":          project,
		"DB_USER":          project + "_" + role,
		"DB_PASSWORD_FILE": secretsPath + "/db_password",
		"DB_SSLMODE":       "disable",
	}
}
