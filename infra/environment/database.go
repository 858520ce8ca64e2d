package environment

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"bookshelf/infra/observability/stack"
)

// databaseHost is the name under which the database is found on the backend network.
const databaseHost = "postgres"

// dataPath is PGDATA, the image's default: a fresh volume mounted there takes over the owner and mode of the image's folder.
const dataPath = "/var/lib/postgresql/data"

// socketPath is where PostgreSQL puts its socket, the image's default too.
const socketPath = "/var/run/postgresql"

// Database is PostgreSQL with its data and its roles.
type Database struct {
	pulumi.ResourceState
	Data *docker.Volume
	// Sockets is the folder of PostgreSQL's socket, which the backup container shares: it needs no network to reach the database.
	Sockets   *docker.Volume
	Container *docker.Container
	// Ready orders whoever uses the database after its roles are in place.
	Ready pulumi.ResourceOption
}

func (e *environment) newDatabase(network *Network, secrets *Secrets) (*Database, error) {
	d := &Database{}
	child, err := e.component("Database", "database", d)
	if err != nil {
		return nil, err
	}
	// Whatever happens to the stack, the data stays: deleting it is a decision of its own (deliver destroy --delete-data).
	for _, name := range e.data.Volumes() {
		volume, err := e.newVolume(name, child, pulumi.Protect(true), pulumi.RetainOnDelete(true))
		if err != nil {
			return nil, err
		}
		if name == e.data.Volume {
			d.Data = volume
		}
	}
	if d.Sockets, err = e.newVolume("postgres-socket", child); err != nil {
		return nil, err
	}
	if d.Container, err = e.run("postgres", e.postgres(d, network, secrets), child, secrets.Distributed); err != nil {
		return nil, fmt.Errorf("declare the database: %w", err)
	}
	roles, err := e.run("roles", e.rolesTask(network, secrets), child, secrets.Distributed, pulumi.DependsOn([]pulumi.Resource{d.Container}))
	if err != nil {
		return nil, fmt.Errorf("declare the database's roles: %w", err)
	}
	d.Ready = once(roles, "set-up of the database's roles")
	return d, e.ctx.RegisterResourceOutputs(d, pulumi.Map{"host": pulumi.String(databaseHost)})
}

func (e *environment) postgres(d *Database, network *Network, secrets *Secrets) container {
	return container{
		component: "postgres",
		image:     pulumi.String(e.config.DatabaseImage),
		user:      databaseUser,
		command: []string{
			"postgres",
			"-c", "password_encryption=scram-sha-256",
			"-c", fmt.Sprintf("shared_buffers=%dMB", e.config.Database.MemoryMiB/4),
			"-c", "max_connections=100",
			// The container's shared memory is small; large parallel plans would not fit it.
			"-c", "dynamic_shared_memory_type=mmap",
			// The image's: passwords only, from the networks that the container is on.
			"-c", "hba_file=/etc/bookshelf/pg_hba.conf",
			// A minute of quiet is the most that a crash of this machine may cost.
			"-c", "archive_mode=on", "-c", "archive_timeout=60", "-c", "archive_command=pgbackrest-agent push %p",
		},
		env: map[string]string{
			"PGDATA":                    dataPath,
			"POSTGRES_PASSWORD_FILE":    secretsPath + "/superuser_password",
			"POSTGRES_INITDB_ARGS":      "--auth-host=scram-sha-256 --auth-local=scram-sha-256 --data-checksums",
			"POSTGRES_HOST_AUTH_METHOD": "scram-sha-256",
		},
		volumes: docker.ContainerVolumeArray{
			volume(d.Data.Name, dataPath, false),
			volume(d.Sockets.Name, socketPath, false),
			volume(secrets.Database.Name, secretsPath, true),
		},
		tmpfs:    map[string]string{"/tmp": "rw,noexec,nosuid,nodev,size=64m"},
		networks: docker.ContainerNetworksAdvancedArray{on(network.Backend, databaseHost)},
		health: &docker.ContainerHealthcheckArgs{
			// By TCP: while the image initialises a new cluster its server answers on the socket only.
			Tests:       stringArray([]string{"CMD", "pg_isready", "--quiet", "--host=127.0.0.1", "--username=postgres"}),
			Interval:    pulumi.String("2s"),
			Timeout:     pulumi.String("5s"),
			Retries:     pulumi.Int(5),
			StartPeriod: pulumi.String("1m0s"),
		},
		limits:    e.config.Database,
		collected: e.config.Watching.Level != stack.Off,
		// SIGINT is PostgreSQL's fast shutdown: it ends sessions and leaves a clean cluster.
		stopSignal: "SIGINT", graceSeconds: 60, waitSeconds: 120,
	}
}

// rolesTask runs roles.sql and backup.sql, again whenever it or a password changes: the volume's name is the same, so the change is carried by an
// environment variable with a digest of what it was given.
func (e *environment) rolesTask(network *Network, secrets *Secrets) container {
	return container{
		component: "roles", task: true,
		image:      pulumi.String(e.config.DatabaseImage),
		user:       databaseUser,
		entrypoint: []string{"sh", "-c", `PGPASSWORD=$(cat /run/secrets/superuser_password) exec psql --no-psqlrc --set=database="$DATABASE" --file=/run/secrets/roles.sql --file=/run/secrets/backup.sql`},
		env: map[string]string{
			"DATABASE":   project,
			"PGHOST":     databaseHost,
			"PGUSER":     "postgres",
			"PGDATABASE": "postgres",
			"GENERATION": e.secretsGeneration(),
		},
		volumes:  docker.ContainerVolumeArray{volume(secrets.Database.Name, secretsPath, true)},
		networks: docker.ContainerNetworksAdvancedArray{on(network.Backend)},
		limits:   Limits{MemoryMiB: 64, CPUs: "1"},
	}
}

// RoleFiles are the statements that keep the database's roles, among its secrets, in the order in which they are run with psql.
func RoleFiles() []string { return []string{"roles.sql", "backup.sql"} }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
