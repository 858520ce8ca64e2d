package delivery

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"bookshelf/infra/backup"
	"bookshelf/infra/environment"
)

// DestroyResult is what Destroy did. Its JSON form is what `deliver destroy --json` prints.
type DestroyResult struct {
	Environment string         `json:"environment"`
	Changes     map[string]int `json:"changes"`
	DataKept    bool           `json:"data_kept"`
	Seconds     float64        `json:"seconds"`
}

// Destroy takes an environment down. Its data and its secrets stay, so that Up brings it back, unless deleteData is set.
func (o *Operator) Destroy(ctx context.Context, name string, deleteData bool) (DestroyResult, error) {
	begun := time.Now()
	result := DestroyResult{Environment: name, Changes: map[string]int{}, DataKept: !deleteData}
	if _, err := o.settings(name); err != nil {
		return result, err
	}
	if !o.Layout.Exists(name) {
		return result, o.destroyUnknown(ctx, name)
	}
	s, release, err := o.begin(ctx, name, "destroy")
	if err != nil {
		return result, err
	}
	defer release()
	// No image is chosen: taking an environment down must work when its image is gone.
	if err := s.openStack(ctx); err != nil {
		return result, err
	}
	if err := s.recover(ctx); err != nil {
		return result, err
	}
	if err := s.settleRestore(ctx); err != nil {
		return result, err
	}
	believed, err := s.stack.Resources(ctx)
	if err != nil {
		return result, err
	}
	var keep []string
	for _, volume := range believed.Volumes {
		if volume.Protected && !deleteData {
			keep = append(keep, volume.URN)
		}
	}
	if deleteData {
		if err := s.stack.Unprotect(ctx); err != nil {
			return result, err
		}
	}
	outcome, err := s.stack.Destroy(ctx, keep, s.Report.Step)
	if err != nil {
		if ctx.Err() != nil {
			return result, fmt.Errorf("interrupted: run the same command again: %w", ctx.Err())
		}
		return result, err
	}
	result.Changes = outcome.Changes
	if deleteData {
		if err := s.forget(ctx); err != nil {
			return result, err
		}
	}
	result.Seconds = time.Since(begun).Seconds()
	return result, nil
}

// destroyUnknown makes "there is nothing" a success, and "it is not ours" a clear error.
func (o *Operator) destroyUnknown(ctx context.Context, name string) error {
	if err := o.Platform.Check(ctx); err != nil {
		return err
	}
	instances, err := o.Platform.Instances(ctx, o.environment(name))
	if err != nil {
		return err
	}
	if len(instances) > 0 {
		return needsPerson("%s runs on this engine, but was not deployed from %s: work from the clone (or with the BOOKSHELF_STATE) that it belongs to", name, o.Layout.State)
	}
	o.Report.Note("%s is not deployed: nothing to do", name)
	return nil
}

// forget removes what is left when the data goes too: the volumes, which Pulumi was told to retain, the stack and the secrets that
// opened them.
func (s *session) forget(ctx context.Context) error {
	data, err := environment.ReadData(s.Layout.State, s.name)
	if err != nil {
		return err
	}
	for _, volume := range append(append(data.Volumes(), data.Forgotten...), backup.Volume) {
		if err := s.Platform.RemoveVolume(ctx, s.env.Part(volume)); err != nil {
			return err
		}
	}
	if err := s.stack.Forget(ctx); err != nil {
		return err
	}
	folder := filepath.Dir(s.Layout.SecretsDir(s.name))
	// The workspace first: without it the environment counts as one that was never deployed.
	for _, part := range []string{
		"workspace", "last-good.json", "slots.json", "release.json", "releases", "restore.json", "drills", "data.json", "metrics", "verified",
		"secrets",
	} {
		if err := os.RemoveAll(filepath.Join(folder, part)); err != nil {
			return fmt.Errorf("remove what was remembered of %s: %w", s.name, err)
		}
	}
	return nil
}
