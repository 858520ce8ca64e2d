package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dagger/bookshelf/plan"
)

// arena is where images are measured: containers on a network of their own.
type arena struct {
	*gate

	name, label string
	secrets     string // a folder with the password of the databases
	password    string
}

// arenaLabel carries the checkout's path, so that what a killed run has left is found by the next one.
const arenaLabel = "bookshelf.perf"

func (g *gate) newArena(ctx context.Context) (*arena, error) {
	prefix := os.Getenv("BOOKSHELF_TEST_RUN")
	if prefix == "" {
		prefix = "bookshelf-perf"
	}
	a := &arena{
		gate: g, name: prefix + "-" + strings.ToLower(rand.Text()[:8]), label: arenaLabel + "=" + g.root, password: rand.Text(),
	}
	if err := a.clear(ctx); err != nil {
		return nil, fmt.Errorf("remove what an earlier run has left: %w", err)
	}
	var err error
	if a.secrets, err = os.MkdirTemp("", "bookshelf-perf-"); err != nil {
		return nil, err
	}
	// Readable for any user in a container; on this host the folder is ours alone.
	err = os.WriteFile(a.passwordFile(), []byte(a.password), 0o444)
	if err == nil {
		_, err = a.docker(ctx, "network", "create", "--label", a.label, a.name)
	}
	if err != nil {
		return nil, errors.Join(err, a.remove())
	}
	return a, nil
}

func (a *arena) passwordFile() string { return filepath.Join(a.secrets, "password") }

func (a *arena) docker(ctx context.Context, args ...string) (string, error) {
	out, err := a.tools.run(ctx, a.root, append([]string{"docker"}, args...))
	return strings.TrimSpace(string(out)), err
}

// remove takes everything away, after an interruption too.
func (a *arena) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(a.clear(ctx), os.RemoveAll(a.secrets))
}

func (a *arena) clear(ctx context.Context) error {
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"ps", "--all"}, []string{"rm", "--force", "--volumes"}},
		{[]string{"network", "ls"}, []string{"network", "rm"}},
	} {
		out, err := a.docker(ctx, append(kind.list, "--quiet", "--filter", "label="+a.label)...)
		if err != nil {
			return err
		}
		if ids := strings.Fields(out); len(ids) > 0 {
			if _, err := a.docker(ctx, append(kind.remove, ids...)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// serve brings up an image with a database server of its own and returns where it answers. Each has its own because a schema that makes
// everything slower belongs to the version that brings it.
func (a *arena) serve(ctx context.Context, side, image string) (plan.LoadTarget, error) {
	database := a.name + "-" + side + "-postgres"
	args := []string{
		"run", "--detach", "--name", database, "--label", a.label, "--network", a.name, "--tmpfs", "/var/lib/postgresql/data",
		"--volume", a.passwordFile() + ":/run/secrets/password:ro", "--env", "POSTGRES_PASSWORD_FILE=/run/secrets/password",
		plan.DefaultImages().Postgres,
	}
	if _, err := a.docker(ctx, append(args, plan.MeasuredServer()...)...); err != nil {
		return plan.LoadTarget{}, err
	}
	err := a.wait(ctx, "PostgreSQL", database, func() error {
		// By TCP: during the set-up it listens on its socket alone.
		_, err := a.docker(ctx, "exec", database, "pg_isready", "--host=127.0.0.1")
		return err
	})
	if err != nil {
		return plan.LoadTarget{}, err
	}
	roles := fmt.Sprintf("\\set password '%s'\n%s", a.password, plan.RolesSQL)
	_, err = a.tools.feed(ctx, a.root, []byte(roles), []string{
		"docker", "exec", "--interactive", "--user", "postgres", database, "psql", "--no-psqlrc", "--quiet", "--file=-",
	})
	if err != nil {
		return plan.LoadTarget{}, fmt.Errorf("make the roles: %w", err)
	}
	as := func(role string, more ...string) []string {
		return append([]string{
			"run", "--label", a.label, "--network", a.name, "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true",
			"--volume", a.passwordFile() + ":" + plan.PasswordFile + ":ro", "--env", "DB_HOST=" + database, "--env", "DB_NAME=" + plan.DatabaseName,
			"--env", "DB_USER=" + role, "--env", "DB_PASSWORD_FILE=" + plan.PasswordFile, "--env", "DB_SSLMODE=disable",
		}, more...)
	}
	if _, err := a.docker(ctx, as(plan.OwnerRole, "--rm", image, "migrate")...); err != nil {
		return plan.LoadTarget{}, fmt.Errorf("migrate: %w", err)
	}
	token, err := a.docker(ctx, as(plan.ServingRole, append([]string{"--rm", image}, plan.MakeToken()...)...)...)
	if err != nil {
		return plan.LoadTarget{}, fmt.Errorf("make a token: %w", err)
	}
	service := a.name + "-" + side
	port := strconv.Itoa(plan.AppPort)
	if _, err := a.docker(ctx, as(plan.ServingRole, "--detach", "--name", service, "--publish", "127.0.0.1::"+port, image, "serve")...); err != nil {
		return plan.LoadTarget{}, err
	}
	err = a.wait(ctx, "the service", service, func() error {
		state, err := a.docker(ctx, "inspect", "--format", "{{.State.Health.Status}}", service)
		if err == nil && state != "healthy" {
			err = errors.New("it is " + state)
		}
		return err
	})
	if err != nil {
		return plan.LoadTarget{}, err
	}
	address, err := a.docker(ctx, "port", service, port+"/tcp")
	return plan.LoadTarget{Addr: address, Token: token}, err
}

// wait asks until there is no complaint, for a minute; a container that has ended will not be there later either.
func (a *arena) wait(ctx context.Context, what, container string, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		complaint := ask()
		if complaint == nil {
			return nil
		}
		state, err := a.docker(ctx, "inspect", "--format", "{{.State.Status}}", container)
		if err == nil && state == "exited" {
			complaint = errors.New("it has ended")
		} else {
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-ctx.Done():
			}
		}
		said, _ := a.docker(context.WithoutCancel(ctx), "logs", "--tail", "5", container)
		return fmt.Errorf("%s does not come up: %w: %s", what, complaint, said)
	}
}
