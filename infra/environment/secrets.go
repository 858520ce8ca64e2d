package environment

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	_ "embed"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"bookshelf/infra/credentials"
)

// secretsPath is where a container finds its secrets.
const secretsPath = "/run/secrets"

// The numeric users of the two images; secrets are readable by them alone.
const (
	databaseUser = "999:999"
	appUser      = "65532:65532"
)

// Secrets is one small volume per consumer, each holding only what that consumer may know. A bind mount would need the engine on
// this machine and files that the container's user can read here; an upload would need a writable root.
type Secrets struct {
	pulumi.ResourceState
	// Database is mounted by PostgreSQL and by the task that keeps its roles; Backup, Migration, App and Edge by their containers.
	Database, Backup, Migration, App, Edge *docker.Volume
	// Distributed orders whoever mounts one of them after the files are in place.
	Distributed pulumi.ResourceOption
}

//go:embed roles.sql
var rolesSQL string

//go:embed backup.sql
var backupSQL string

// distributeScript moves uploaded files to their volumes: each appears at once and complete, owned by the one user that may read
// it. Root has no power here but to give files away, so it writes before it hands over.
const distributeScript = `set -eu
umask 077
for volume in /volumes/*; do
    name=$(basename "$volume")
    owner=$(cat "/uploads/$name.owner")
    for file in /uploads/"$name"/*; do
        [ -e "$file" ] || continue # nothing for this one
        target="$volume/$(basename "$file")"
        rm -f "$target.new"
        cp "$file" "$target.new"
        chmod 0400 "$target.new"
        chown "$owner" "$target.new"
        mv -f "$target.new" "$target"
    done
    # What is kept belongs to who keeps it; other volumes are read only.
    chown 0:0 "$volume" # the mode is the owner's to change, and it may have been given away before
    chmod 0755 "$volume"
    if [ -e "/uploads/$name.whole" ]; then chown "$owner" "$volume"; fi
done
`

func (e *environment) newSecrets() (*Secrets, error) {
	s := &Secrets{}
	child, err := e.component("Secrets", "secrets", s)
	if err != nil {
		return nil, err
	}
	databaseFiles := passwordFiles(e.credentials)
	databaseFiles["roles.sql"], databaseFiles["backup.sql"] = rolesSQL, backupSQL
	consumers := []struct {
		name, owner string
		files       map[string]string
		volume      **docker.Volume
	}{
		{"database", databaseUser, databaseFiles, &s.Database},
		{"backup", databaseUser, e.backupFiles(), &s.Backup},
		{"migration", appUser, map[string]string{passwordFile: e.credentials.Owner}, &s.Migration},
		{"app", appUser, appFiles(e.credentials.App), &s.App},
		{"edge", appUser, e.config.TLS.files, &s.Edge},
	}
	task := container{
		component: "secrets", task: true, writableRoot: true, user: "0:0", capabilities: []string{"CHOWN"},
		image:      pulumi.String(e.config.DatabaseImage), // any image with a shell; this one is there anyway
		entrypoint: []string{"sh", "-c", distributeScript},
		limits:     Limits{MemoryMiB: 64, CPUs: "1"},
	}
	for _, consumer := range consumers {
		if *consumer.volume, err = e.newVolume("secrets-"+consumer.name, child); err != nil {
			return nil, err
		}
		task.volumes = append(task.volumes, volume((*consumer.volume).Name, "/volumes/"+consumer.name, false))
		task.uploads = append(task.uploads, upload(consumer.name+".owner", pulumi.String(consumer.owner)))
		for _, file := range sortedKeys(consumer.files) {
			secret := pulumi.ToSecret(pulumi.String(consumer.files[file])).(pulumi.StringOutput)
			task.uploads = append(task.uploads, upload(consumer.name+"/"+file, secret))
		}
	}
	filled, err := e.run("secrets-distribution", task, child)
	if err != nil {
		return nil, fmt.Errorf("declare the distribution of secrets: %w", err)
	}
	s.Distributed = once(filled, "distribution of secrets")
	return s, e.ctx.RegisterResourceOutputs(s, pulumi.Map{})
}

// The files of the two consumers that log in to the database.
const (
	passwordFile = "db_password" // DB_PASSWORD_FILE of the contract
	loginFile    = "db_login"    // DB_LOGIN_FILE
)

// appFiles is what the service is given to log in with: as a login, and for a service that only takes a password, that.
func appFiles(l credentials.Login) map[string]string {
	return map[string]string{loginFile: databaseRole(l.Role) + "\n" + l.Password + "\n", passwordFile: l.Password}
}

// passwordFiles are the passwords of all roles of the database, by file.
func passwordFiles(set credentials.Set) map[string]string {
	return map[string]string{
		credentials.SuperuserFile: set.Superuser,
		credentials.OwnerFile:     set.Owner,
		credentials.AppFile:       set.App.Content(),
		credentials.MetricsFile:   set.Metrics,
		credentials.ReadOnlyFile:  set.ReadOnly,
		credentials.BackupFile:    set.Backup,
	}
}

// HandOver is where the distributing task takes the files of the database's secrets from, and with what content, by path: what has to be
// replaced there when the secrets are.
func HandOver(set credentials.Set) map[string]string {
	files := map[string]string{"migration/" + passwordFile: set.Owner}
	for name, content := range passwordFiles(set) {
		files["database/"+name] = content
	}
	for name, content := range appFiles(set.App) {
		files["app/"+name] = content
	}
	return files
}

// UploadsPath is where the distributing task finds what it is given.
const UploadsPath = "/uploads"

// databaseRole is the name of a role on the server.
func databaseRole(suffix string) string { return project + "_" + suffix }

// secretsGeneration changes whenever the database's secrets or roles.sql do. A hash gives nothing away: what it hashes is random.
func (e *environment) secretsGeneration() string {
	return generation(e.credentials.Superuser, e.credentials.Owner, e.credentials.App.Content(), e.credentials.Metrics,
		e.credentials.ReadOnly, e.credentials.Backup, rolesSQL, backupSQL)
}

func generation(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:8])
}

// upload is a file below /uploads of the distributing task.
func upload(path string, content pulumi.StringInput) docker.ContainerUploadArgs {
	return docker.ContainerUploadArgs{File: pulumi.String(UploadsPath + "/" + path), Content: content.ToStringOutput(), Permissions: pulumi.String("0400")}
}

// newVolume declares a volume. Every input of a volume forces replacement, which would lose what is on it: they are constant.
func (e *environment) newVolume(name string, opts ...pulumi.ResourceOption) (*docker.Volume, error) {
	v, err := docker.NewVolume(e.ctx, name, &docker.VolumeArgs{Name: pulumi.String(e.named(name))}, opts...)
	if err != nil {
		return nil, fmt.Errorf("declare volume %s: %w", name, err)
	}
	return v, nil
}
