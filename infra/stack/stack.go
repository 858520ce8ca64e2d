package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/atomicwriter"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"gopkg.in/yaml.v3"

	"bookshelf/infra/credentials"
	"bookshelf/infra/environment"
)

// backendVariable overrides where Pulumi keeps its state; the default is a folder below the layout's state folder.
const backendVariable = "PULUMI_BACKEND_URL"

// LostSecretsError says that an environment exists whose secrets are gone. Nothing can be changed without them.
type LostSecretsError struct{ Environment, Dir string }

func (e *LostSecretsError) Error() string {
	return fmt.Sprintf("%s has been deployed from here, but its secrets are not in %s any more: restore that folder from your backup", e.Environment, e.Dir)
}

// Stack is one environment as Pulumi knows it.
type Stack struct {
	name  string
	stack auto.Stack
	// read is the state as it was read last, nil when it has been changed since: reading it takes a process of its own.
	read *state
}

// state is what Pulumi has on record of a stack.
type state struct {
	raw        apitype.UntypedDeployment
	deployment apitype.DeploymentV3
}

// Open makes the stack ready to be worked on under its lock, creating it where there is none. Settings are its whole configuration.
func Open(ctx context.Context, layout Layout, lock *Lock, name string, settings Settings) (*Stack, error) {
	work := filepath.Join(layout.dir(name), "workspace")
	if err := guardSecrets(layout, name, work); err != nil {
		return nil, err
	}
	secrets, err := credentials.Ensure(layout.SecretsDir(name))
	if err != nil {
		return nil, err
	}
	cli, err := findPulumi(ctx, layout.Tools, lock)
	if err != nil {
		return nil, err
	}
	if err := writeWorkspace(layout, work, name, settings); err != nil {
		return nil, fmt.Errorf("prepare the Pulumi workspace of %s: %w", name, err)
	}
	env, err := pulumiEnv(layout, secrets)
	if err != nil {
		return nil, err
	}
	s, err := auto.UpsertStackInlineSource(ctx, name, environment.Project, environment.Program(layout.State, layout.Infra),
		auto.WorkDir(work), auto.Pulumi(cli), auto.SecretsProvider("passphrase"), auto.EnvVars(env))
	if err != nil {
		return nil, fmt.Errorf("open the Pulumi stack %s: %w", name, err)
	}
	return &Stack{name: name, stack: s}, nil
}

// guardSecrets refuses to generate new secrets for an environment that was deployed with others.
func guardSecrets(layout Layout, name, work string) error {
	exist, err := credentials.Exist(layout.SecretsDir(name))
	if err != nil || exist {
		return err
	}
	if _, err := os.Stat(filepath.Join(work, stackFile(name))); err == nil {
		return &LostSecretsError{Environment: name, Dir: layout.SecretsDir(name)}
	}
	return nil
}

// Exists reports whether the environment was ever deployed from this state folder.
func (l Layout) Exists(name string) bool {
	_, err := os.Stat(filepath.Join(l.dir(name), "workspace", stackFile(name)))
	return err == nil
}

func stackFile(name string) string { return "Pulumi." + name + ".yaml" }

// writeWorkspace writes the project and the stack's settings where Pulumi looks for them: the committed files with what was given on
// the command line, and the salt that belongs to the passphrase, which Pulumi itself adds at first use.
func writeWorkspace(layout Layout, work, name string, settings Settings) error {
	if err := os.MkdirAll(work, 0o700); err != nil {
		return err
	}
	project, err := os.ReadFile(filepath.Join(layout.Infra, "Pulumi.yaml"))
	if err != nil {
		return err
	}
	file := struct {
		Salt   string            `yaml:"encryptionsalt,omitempty"`
		Config map[string]string `yaml:"config"`
	}{Config: map[string]string{}}
	path := filepath.Join(work, stackFile(name))
	switch content, err := os.ReadFile(path); {
	case err == nil:
		if err := yaml.Unmarshal(content, &file); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		clear(file.Config)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	for key, value := range settings {
		file.Config[environment.Namespace+":"+key] = value
	}
	content, err := yaml.Marshal(file)
	if err != nil {
		return err
	}
	// A reader, or a kill, must find the old content or the new.
	return errors.Join(atomicwriter.WriteFile(filepath.Join(work, "Pulumi.yaml"), project, 0o600), atomicwriter.WriteFile(path, content, 0o600))
}

func pulumiEnv(layout Layout, secrets credentials.Set) (map[string]string, error) {
	bin, err := filepath.Abs(filepath.Join(layout.Tools, "bin"))
	if err != nil {
		return nil, err
	}
	passphrase, err := filepath.Abs(secrets.PassphraseFile)
	if err != nil {
		return nil, err
	}
	env := map[string]string{
		"PULUMI_CONFIG_PASSPHRASE_FILE":               passphrase,
		"PULUMI_SKIP_UPDATE_CHECK":                    "true",
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
		"PATH": bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		// Every backup would be one more copy of the (encrypted) passwords, and grow without end.
		"PULUMI_DISABLE_CHECKPOINT_BACKUPS": "true",
	}
	if os.Getenv(backendVariable) == "" {
		backend, err := filepath.Abs(filepath.Join(layout.State, "pulumi"))
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(backend, 0o700); err != nil {
			return nil, fmt.Errorf("make the folder of Pulumi's state: %w", err)
		}
		env[backendVariable] = "file://" + filepath.ToSlash(backend)
	}
	return env, nil
}

// Outcome is what an operation did.
type Outcome struct {
	// Changes counts operations by kind (create, update, delete, replace); "same" is left out.
	Changes map[string]int
}

// Preview says what Up would do. Resources in replace are replaced whatever their state.
func (s *Stack) Preview(ctx context.Context, replace []string, progress Progress) (Outcome, error) {
	watch := newWatcher(progress, true)
	_, err := s.stack.Preview(ctx, optpreview.EventStreams(watch.events), optpreview.Replace(replace), optpreview.SuppressProgress())
	return watch.finish(err)
}

// Up brings the stack to what the program declares.
func (s *Stack) Up(ctx context.Context, replace []string, progress Progress) (Outcome, error) {
	s.read = nil
	watch := newWatcher(progress, false)
	_, err := s.stack.Up(ctx, optup.EventStreams(watch.events), optup.Replace(replace), optup.SuppressProgress())
	return watch.finish(err)
}

// Destroy removes every resource but those whose URN is to be kept.
func (s *Stack) Destroy(ctx context.Context, keep []string, progress Progress) (Outcome, error) {
	s.read = nil
	watch := newWatcher(progress, false)
	options := []optdestroy.Option{optdestroy.EventStreams(watch.events), optdestroy.SuppressProgress()}
	if len(keep) > 0 {
		options = append(options, optdestroy.Exclude(keep))
	}
	_, err := s.stack.Destroy(ctx, options...)
	return watch.finish(err)
}

// Forget removes the stack itself, its state included.
func (s *Stack) Forget(ctx context.Context) error {
	if err := s.stack.Workspace().RemoveStack(ctx, s.name); err != nil {
		return fmt.Errorf("remove the Pulumi stack %s: %w", s.name, err)
	}
	return nil
}

// export reads the stack's state. Secrets in it stay encrypted.
func (s *Stack) export(ctx context.Context) (*state, error) {
	if s.read != nil {
		return s.read, nil
	}
	var read state
	var err error
	if read.raw, err = s.stack.Export(ctx); err == nil {
		err = json.Unmarshal(read.raw.Deployment, &read.deployment)
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of %s: %w", s.name, err)
	}
	s.read = &read
	return s.read, nil
}

// rewrite puts a changed state in the place of the one that was read.
func (s *Stack) rewrite(ctx context.Context, changed *state) error {
	s.read = nil
	raw := changed.raw
	var err error
	if raw.Deployment, err = json.Marshal(changed.deployment); err == nil {
		err = s.stack.Import(ctx, raw)
	}
	if err != nil {
		return fmt.Errorf("write the state of %s: %w", s.name, err)
	}
	return nil
}

// Recover puts right what a killed run left behind: Pulumi's own lock, which never expires, and the record of operations that were
// under way. It returns the names of the containers that such a run may have created without having noted them. The environment's
// lock guarantees that no other run is alive.
func (s *Stack) Recover(ctx context.Context) (unrecorded []string, err error) {
	if err := s.stack.Cancel(ctx); err != nil {
		return nil, fmt.Errorf("break the Pulumi lock of %s: %w", s.name, err)
	}
	s.read = nil
	found, err := s.export(ctx)
	if err != nil {
		return nil, err
	}
	deployment := &found.deployment
	if len(deployment.PendingOperations) == 0 {
		return nil, nil
	}
	recorded := map[string]bool{}
	for _, resource := range deployment.Resources {
		if resource.Type == typeContainer && !resource.Delete {
			recorded[inputString(resource, "name")] = true
		}
	}
	for _, operation := range deployment.PendingOperations {
		name := inputString(operation.Resource, "name")
		if operation.Type == apitype.OperationTypeCreating && operation.Resource.Type == typeContainer && !recorded[name] {
			unrecorded = append(unrecorded, name)
		}
	}
	deployment.PendingOperations = nil
	if err := s.rewrite(ctx, found); err != nil {
		return nil, err
	}
	return unrecorded, nil
}

// Types of the resources that exist on the engine.
const (
	typeContainer tokens.Type = "docker:index/container:Container"
	typeNetwork   tokens.Type = "docker:index/network:Network"
	typeVolume    tokens.Type = "docker:index/volume:Volume"
)
