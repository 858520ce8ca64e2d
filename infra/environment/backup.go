package environment

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// repositoryPath is where the backup container has its repository, if that is a volume.
const repositoryPath = "/var/lib/pgbackrest"

// backupSecretsPath is where the backup container finds its secrets, and whatever else restores from its repository.
const backupSecretsPath = "/run/backup"

// BackupMetricsPort is where the backup container answers for Prometheus metrics, on the backend network alone.
const BackupMetricsPort = 9854

// BackupContainer is the container that takes the backups. PostgreSQL hands its write-ahead log over to it through a socket; so it alone
// holds the repository and the key, and what has taken over the database can neither read nor remove a backup.
type BackupContainer struct {
	pulumi.ResourceState
	// Repository is the volume with the backups, nil where they are kept elsewhere.
	Repository *docker.Volume
	Container  *docker.Container
}

func (e *environment) newBackup(network *Network, database *Database, secrets *Secrets) (*BackupContainer, error) {
	b := &BackupContainer{}
	child, err := e.component("Backup", "backup", b)
	if err != nil {
		return nil, err
	}
	if !e.config.Backup.Repository.Remote() {
		// As the data: it stays whatever happens to the stack.
		if b.Repository, err = e.newVolume("postgres-backups", child, pulumi.Protect(true), pulumi.RetainOnDelete(true)); err != nil {
			return nil, err
		}
	}
	if b.Container, err = e.run("backup", e.backup(b.Repository, network, database, secrets), child, secrets.Distributed, database.Ready); err != nil {
		return nil, fmt.Errorf("declare the backup container: %w", err)
	}
	return b, e.ctx.RegisterResourceOutputs(b, pulumi.Map{})
}

func (e *environment) backup(repository *docker.Volume, network *Network, database *Database, secrets *Secrets) container {
	c := container{
		component:  "backup",
		image:      pulumi.String(e.config.DatabaseImage),
		user:       databaseUser,
		entrypoint: []string{"pgbackrest-agent"},
		command:    []string{"serve"},
		env: map[string]string{
			"BACKUP_FULL":       e.config.Backup.Full.String(),
			"BACKUP_DIFF":       e.config.Backup.Diff.String(),
			"METRICS_ADDR":      fmt.Sprintf(":%d", BackupMetricsPort),
			"PGBACKREST_CONFIG": backupSecretsPath + "/pgbackrest.conf",
			"PGBACKREST_STANZA": e.stanza(),
			"PGDATA":            dataPath,
			"PGDATABASE":        project,
			"PGHOST":            socketPath,
			"PGPASSFILE":        backupSecretsPath + "/pgpass",
			"PGUSER":            backupRole,
			// The volume's name stays the same when what is on it changes, so the change is carried by this.
			"GENERATION": generation(e.pgbackrestConf(), e.pgpass()),
		},
		volumes: docker.ContainerVolumeArray{
			volume(database.Data.Name, dataPath, true),
			volume(database.Sockets.Name, socketPath, false),
			volume(secrets.Backup.Name, backupSecretsPath, true),
		},
		tmpfs:    map[string]string{"/tmp": "rw,noexec,nosuid,nodev,size=64m"},
		networks: docker.ContainerNetworksAdvancedArray{on(network.Backend, "backup")},
		health: &docker.ContainerHealthcheckArgs{
			Tests:       stringArray([]string{"CMD", "pgbackrest-agent", "healthcheck"}),
			Interval:    pulumi.String("2s"),
			Timeout:     pulumi.String("5s"),
			Retries:     pulumi.Int(5),
			StartPeriod: pulumi.String("10s"),
		},
		limits: e.config.Backup.Limits,
		// A backup that is told to stop does so in seconds, and the repository stays whole.
		stopSignal: "SIGTERM", graceSeconds: 30, waitSeconds: 60,
	}
	if repository != nil {
		c.volumes = append(c.volumes, volume(repository.Name, repositoryPath, false))
	}
	if network.Repository != nil {
		c.networks = append(c.networks, on(network.Repository))
	}
	return c
}

// backupRole is the database role that takes backups, see backup.sql.
const backupRole = project + "_backup"

// stanza is what pgBackRest calls the backups of one environment.
func (e *environment) stanza() string { return e.named() }

// backupFiles are what the backup container is given to read. All of it is secret for the sake of the few lines that are.
func (e *environment) backupFiles() map[string]string {
	files := map[string]string{"pgbackrest.conf": e.pgbackrestConf(), "pgpass": e.pgpass()}
	if roots := e.config.Backup.Repository.roots; roots != "" {
		files["repository-roots.pem"] = roots
	}
	return files
}

// pgpass is PostgreSQL's password file: host, port, database, user, password.
func (e *environment) pgpass() string {
	return fmt.Sprintf("*:*:*:%s:%s\n", backupRole, e.credentials.Backup)
}

// pgbackrestConf is pgBackRest's configuration file, https://pgbackrest.org/configuration.html.
func (e *environment) pgbackrestConf() string {
	b := e.config.Backup
	var text strings.Builder
	set := func(key string, value any) { fmt.Fprintf(&text, "%s=%v\n", key, value) }
	fmt.Fprintln(&text, "[global]")
	b.Repository.configure(set, e.named())
	set("repo1-cipher-type", "aes-256-cbc")
	set("repo1-cipher-pass", e.credentials.BackupKey)
	set("repo1-retention-full", b.RetainFull)
	if b.RetainDiff > 0 {
		set("repo1-retention-diff", b.RetainDiff)
	}
	// Small files together: a new database consists of a thousand of them.
	set("repo1-bundle", "y")
	set("compress-type", b.Compress)
	// Now, rather than after the next checkpoint that is due anyway, minutes later.
	set("start-fast", "y")
	set("archive-timeout", 60)
	set("lock-path", "/tmp/pgbackrest")
	set("log-level-file", "off")
	set("log-level-stderr", "warn")
	set("log-level-console", "off")
	fmt.Fprintf(&text, "\n[%s]\n", e.stanza())
	set("pg1-path", dataPath)
	set("pg1-socket-path", socketPath)
	set("pg1-user", backupRole)
	set("pg1-database", project)
	return text.String()
}
