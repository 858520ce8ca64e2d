// Package environment is the Pulumi program: it declares the network, the database and the app of one environment as resources of
// pulumi-docker v4. It builds no image and reads no clock; the same configuration always declares the same resources.
package environment

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumiconfig "github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"

	"bookshelf/infra/credentials"
)

// project is the first part of every name on the engine, the name of the database and the Pulumi project's name.
const project = "bookshelf"

// Project is the Pulumi project's name, which is also the first part of every name on the engine.
const Project = project

// StateVariable names the environment variable with the folder of everything that is remembered outside the engine: Pulumi's state
// and, per environment, secrets. The default is .bookshelf beside the infra folder.
const StateVariable = "BOOKSHELF_STATE"

// Output names.
const (
	outputURL   = "url"
	outputImage = "image"
	outputLive  = "live"
)

// environment is what the components share while they are declared.
type environment struct {
	ctx         *pulumi.Context
	config      Config
	slots       Slots
	data        Data
	credentials credentials.Set
}

// Deploy declares the environment named like the stack, with the slots and the secrets found (or made) below the state folder. It is
// what `pulumi up` runs.
func Deploy(ctx *pulumi.Context) error {
	state := os.Getenv(StateVariable)
	if state == "" {
		state = filepath.Join("..", ".bookshelf")
	}
	return Program(state, ".")(ctx)
}

// SecretsDir is the folder with the secrets of one environment.
func SecretsDir(state, name string) string { return filepath.Join(state, name, "secrets") }

// Program returns the program for what is kept in the state folder; paths in the configuration are relative to dir. Bad configuration
// fails before anything is created, secrets included.
func Program(state, dir string) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		settings := pulumiconfig.New(ctx, Namespace)
		config, err := Load(ctx.Stack(), settings.Get)
		if err != nil {
			return fmt.Errorf("configuration of %s:\n%w", ctx.Stack(), err)
		}
		if config.EdgeImage == "" {
			return fmt.Errorf("%s:edgeImage is not set: want the image of the edge; `make edge-image` builds it", Namespace)
		}
		if config.DatabaseImage == "" {
			return fmt.Errorf("%s:databaseImage is not set: want the image of the database; `make postgres-image` builds it", Namespace)
		}
		if err := errors.Join(config.TLS.readFiles(dir), config.Backup.Repository.readFiles(dir)); err != nil {
			return fmt.Errorf("configuration of %s:\n%w", ctx.Stack(), err)
		}
		slots, err := ensureSlots(state, config)
		if err != nil {
			return err
		}
		data, err := ReadData(state, config.Name)
		if err != nil {
			return err
		}
		set, err := credentials.Ensure(SecretsDir(state, ctx.Stack()))
		if err != nil {
			return err
		}
		return (&environment{ctx: ctx, config: config, slots: slots, data: data, credentials: set}).deploy()
	}
}

// deploy declares everything. A slot comes up only after its migration has succeeded, a migration only after the roles exist.
func (e *environment) deploy() error {
	network, err := e.newNetwork()
	if err != nil {
		return err
	}
	secrets, err := e.newSecrets()
	if err != nil {
		return err
	}
	database, err := e.newDatabase(network, secrets)
	if err != nil {
		return err
	}
	if _, err := e.newBackup(network, database, secrets); err != nil {
		return err
	}
	if _, err := e.newEdge(network, secrets); err != nil {
		return err
	}
	for _, name := range slotNames {
		if slot, filled := e.slots.Slots[name]; filled {
			if err := e.newApp(name, slot, network, database, secrets); err != nil {
				return err
			}
		}
	}
	if err := e.newObservability(network); err != nil {
		return err
	}
	e.ctx.Export(outputURL, pulumi.String(e.config.URL))
	e.ctx.Export(outputImage, pulumi.String(e.slots.LiveSlot().Image))
	e.ctx.Export(outputLive, pulumi.String(e.slots.Live))
	return nil
}

// named joins the parts of a name on the engine: bookshelf-dev-app-blue. Empty parts are left out.
func (e *environment) named(parts ...string) string {
	parts = slices.DeleteFunc(append([]string{project, e.config.Name}, parts...), func(part string) bool { return part == "" })
	return strings.Join(parts, "-")
}

// component registers a component resource and returns the options that make others its children.
func (e *environment) component(kind, name string, c pulumi.ComponentResource) (pulumi.ResourceOption, error) {
	if err := e.ctx.RegisterComponentResource("bookshelf:environment:"+kind, name, c); err != nil {
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	return pulumi.Parent(c), nil
}
