package environment

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"bookshelf/infra/observability/stack"
)

// Where the service listens in its container, see docs/contract.md.
const (
	APIPort   = 8080
	AdminPort = 9090
)

// tracesVariable tells the service where to send its spans, see docs/contract.md.
const tracesVariable = "OTEL_EXPORTER_OTLP_ENDPOINT"

// App is one slot of the service: the migration that its version needs and the replicas that serve.
type App struct {
	pulumi.ResourceState
	Migration *docker.Container
	Replicas  []*docker.Container
}

// Replica is the name of a slot's n-th replica, from 1 on: the part of its container's name, and its host name on the networks.
func Replica(slot string, n int) string { return "app-" + slot + "-" + strconv.Itoa(n) }

// newApp declares a slot. Nothing of it is published: requests reach it through the edge.
func (e *environment) newApp(name string, slot Slot, network *Network, database *Database, secrets *Secrets) error {
	a := &App{}
	child, err := e.component("App", "app-"+name, a)
	if err != nil {
		return err
	}
	if a.Migration, err = e.run("migration-"+name, e.migration(name, slot, network, secrets), child, secrets.Distributed, database.Ready); err != nil {
		return fmt.Errorf("declare the migration: %w", err)
	}
	migrated := once(a.Migration, "migration")
	if slot.Retired {
		// What is kept for a look may be there because of this very failure.
		migrated = pulumi.DependsOn([]pulumi.Resource{a.Migration})
	}
	for n := 1; n <= slot.Replicas; n++ {
		replica, err := e.run(Replica(name, n), e.server(name, n, slot, network, secrets), child, secrets.Distributed, migrated)
		if err != nil {
			return fmt.Errorf("declare the app: %w", err)
		}
		a.Replicas = append(a.Replicas, replica)
	}
	return e.ctx.RegisterResourceOutputs(a, pulumi.Map{"image": pulumi.String(slot.Image)})
}

func (e *environment) migration(name string, slot Slot, network *Network, secrets *Secrets) container {
	return container{
		component: "migration", slot: name, task: true,
		image:    pulumi.String(slot.Image),
		user:     appUser,
		command:  []string{"migrate"},
		env:      MigrateVariables(),
		volumes:  docker.ContainerVolumeArray{volume(secrets.Migration.Name, secretsPath, true)},
		networks: docker.ContainerNetworksAdvancedArray{on(network.Backend)},
		limits:   Limits{MemoryMiB: 128, CPUs: "1"},
	}
}

func (e *environment) server(name string, n int, slot Slot, network *Network, secrets *Secrets) container {
	grace := time.Duration(slot.ShutdownGrace)
	stop := grace + drainTime
	return container{
		component: "app", slot: name, replica: n,
		image:   pulumi.String(slot.Image),
		user:    appUser,
		command: []string{"serve"},
		env:     ServeVariables(slot, e.credentials.App.Role),
		volumes: docker.ContainerVolumeArray{volume(secrets.App.Name, secretsPath, true)},
		networks: docker.ContainerNetworksAdvancedArray{
			on(network.Backend),
			on(network.Frontend, Replica(name, n)),
		},
		// The health check is the image's own, see the contract.
		limits:    slot.App,
		collected: slot.Watched != "" && slot.Watched != stack.Off,
		// A little more than the app's own deadline: it should end by itself, with its last log line.
		stopSignal: "SIGTERM", graceSeconds: int(stop.Seconds()) + 10, waitSeconds: 60,
	}
}

// ServeVariables are what a slot's replicas are told by their environment; role is what the service logs in as where it does not read
// that from a file.
func ServeVariables(slot Slot, role string) map[string]string {
	env := databaseVariables(role, slot.LoginFile)
	maps.Copy(env, slot.Environment)
	if _, chosen := env[tracesVariable]; slot.Watched == stack.Full && !chosen {
		env[tracesVariable] = stack.TracesEndpoint
	}
	grace := time.Duration(slot.ShutdownGrace)
	env["HTTP_ADDR"] = fmt.Sprintf(":%d", APIPort)
	env["ADMIN_ADDR"] = fmt.Sprintf(":%d", AdminPort)
	env["LOG_LEVEL"] = slot.LogLevel
	env["SHUTDOWN_GRACE"] = grace.String()
	env["SHUTDOWN_TIMEOUT"] = (grace + drainTime).String()
	return env
}

// MigrateVariables are what a migration is told by its environment.
func MigrateVariables() map[string]string { return databaseVariables("owner", false) }

// databaseVariables are the part of the contract's environment that says how to reach the database, as the role of that suffix or, where
// the login is in a file, as whoever that names.
func databaseVariables(role string, inFile bool) map[string]string {
	env := map[string]string{
		"DB_HOST":    databaseHost,
		"DB_PORT":    "5432",
		"DB_NAME":    project,
		"DB_SSLMODE": "disable",
	}
	if inFile {
		env["DB_LOGIN_FILE"] = secretsPath + "/" + loginFile
		return env
	}
	env["DB_USER"], env["DB_PASSWORD_FILE"] = databaseRole(role), secretsPath+"/"+passwordFile
	return env
}
