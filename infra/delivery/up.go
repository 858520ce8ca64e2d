package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/moby/sys/atomicwriter"

	"bookshelf/infra/drift"
	"bookshelf/infra/environment"
	"bookshelf/infra/runtime"
	"bookshelf/infra/stack"
	"bookshelf/infra/traffic"
)

// UpResult is what Up did. Its JSON form is what `deliver up --json` prints.
type UpResult struct {
	Environment string `json:"environment"`
	URL         string `json:"url"`
	Image       string `json:"image"`
	// Changes counts resources by what happened to them; Repaired names what had to be put right on the engine besides.
	Changes  map[string]int `json:"changes"`
	Repaired []string       `json:"repaired"`
	Seconds  float64        `json:"seconds"`
}

// RolledBackError is a deployment that failed and was undone: what ran before runs again.
type RolledBackError struct{ Cause error }

func (e *RolledBackError) Error() string {
	return fmt.Sprintf("%v\nrolled back: the configuration that was good last is in effect again", e.Cause)
}

// Unwrap returns why it failed.
func (e *RolledBackError) Unwrap() error { return e.Cause }

// Up converges an environment to its configuration. It repairs what was stopped, removed or changed behind Pulumi's back and what an
// interrupted run left behind, a release included. The image is what a new environment begins with; an environment that serves keeps
// its own, and Up changes neither its traffic nor the slot that serves. When the deployment fails it goes back to the configuration
// that was good last.
func (o *Operator) Up(ctx context.Context, name, image string) (UpResult, error) {
	begun := time.Now()
	s, release, err := o.open(ctx, name, "up", image)
	if err != nil {
		return UpResult{}, err
	}
	defer release()
	if err := s.rememberVerified(); err != nil {
		return UpResult{}, err
	}
	if err := s.WriteSlots(s.slots); err != nil {
		return UpResult{}, err
	}
	if err := s.settleRelease(ctx); err != nil {
		return UpResult{}, err
	}
	if err := s.settleRestore(ctx); err != nil {
		return UpResult{}, err
	}
	result, err := s.deploy(ctx)
	if err == nil {
		err = traffic.Direct(ctx, s.edge, s.slots)
	}
	if err == nil {
		err = s.waitWatching(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return UpResult{}, fmt.Errorf("interrupted: run the same command again to converge %s: %w", name, ctx.Err())
		}
		return UpResult{}, s.goBack(ctx, err)
	}
	if err := s.rememberGood(); err != nil {
		return UpResult{}, err
	}
	result.Seconds = time.Since(begun).Seconds()
	return result, s.tellSecrets()
}

// Converge implements target.Stack.
func (s *session) Converge(ctx context.Context) error {
	_, err := s.deploy(ctx)
	return err
}

// deploy is one attempt with the session's settings.
func (s *session) deploy(ctx context.Context) (UpResult, error) {
	if err := s.recover(ctx); err != nil {
		return UpResult{}, err
	}
	data, err := environment.ReadData(s.Layout.State, s.name)
	if err != nil {
		return UpResult{}, err
	}
	if err := s.releaseForgotten(ctx, data); err != nil {
		return UpResult{}, err
	}
	if err := s.forgetLostSlots(ctx); err != nil {
		return UpResult{}, err
	}
	repairs, err := s.drift(ctx)
	if err != nil {
		return UpResult{}, err
	}
	result := UpResult{Environment: s.name, Changes: map[string]int{}, Repaired: []string{}}
	if err := s.prepare(ctx, repairs, &result); err != nil {
		return UpResult{}, err
	}
	outcome, err := s.stack.Up(ctx, repairs.Replace(), s.Report.Step)
	if err != nil {
		return UpResult{}, err
	}
	maps.Copy(result.Changes, outcome.Changes)
	result.URL, result.Image = s.config.URL, s.slots.LiveSlot().Image
	if err := s.finish(ctx); err != nil {
		return result, err
	}
	return result, s.removeForgotten(ctx, data)
}

// recover undoes what a run that was killed left behind.
func (s *session) recover(ctx context.Context) error {
	unrecorded, err := s.stack.Recover(ctx)
	if err != nil {
		return err
	}
	if len(unrecorded) == 0 {
		return nil
	}
	instances, err := s.Platform.Instances(ctx, s.env)
	if err != nil {
		return err
	}
	for _, instance := range instances {
		if slices.Contains(unrecorded, instance.Name) {
			s.Report.Note("removing %s, left by an interrupted run", instance.Name)
			if err := s.Platform.Remove(ctx, instance.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// drift compares what Pulumi believes with what the engine has.
func (s *session) drift(ctx context.Context) (drift.Findings, error) {
	believed, err := s.stack.Resources(ctx)
	if err != nil {
		return nil, err
	}
	found, err := drift.Find(ctx, s.Platform, s.env, believed, s.slots)
	if lost, ok := errors.AsType[*drift.LostDataError](err); ok {
		return nil, &PersonError{Cause: lost}
	}
	return found, err
}

// forgetLostSlots empties a retired slot of which a container is gone.
func (s *session) forgetLostSlots(ctx context.Context) error {
	instances, err := s.Platform.Instances(ctx, s.env)
	if err != nil {
		return err
	}
	for _, name := range drift.BrokenSlots(s.env, instances, s.slots) {
		s.Report.Note("the retired slot %s is not whole any more: forgetting it", name)
		if err := s.WriteSlots(s.slots.Without(name)); err != nil {
			return err
		}
	}
	return nil
}

// prepare carries out the repairs that Pulumi can't: starting what was stopped, and removing what stands in the way of a replacement.
func (s *session) prepare(ctx context.Context, repairs drift.Findings, result *UpResult) error {
	for _, finding := range repairs {
		s.Report.Note("%s", finding)
		result.Repaired = append(result.Repaired, finding.String())
		switch finding.Repair {
		case drift.Start:
			if err := s.Platform.Start(ctx, finding.ID); err != nil {
				return err
			}
		case drift.Remove:
			if err := s.Platform.Remove(ctx, finding.ID); err != nil {
				return err
			}
		case drift.Replace:
		}
	}
	return nil
}

// finish bounds the number of processes of each service and checks that everything serves: a deployment is done when the engine says
// so, not when Pulumi does.
func (s *session) finish(ctx context.Context) error {
	instances, err := s.Platform.Instances(ctx, s.env)
	if err != nil {
		return err
	}
	var problems []error
	for _, instance := range instances {
		if s.slots.Idle(instance.Slot) {
			continue
		}
		if !instance.Serving() {
			problems = append(problems, fmt.Errorf("%s is %s", instance.Name, instance.Describe()))
			continue
		}
		if instance.Kind == runtime.KindService && instance.PIDs != maxPIDs {
			problems = append(problems, s.Platform.LimitPIDs(ctx, instance.ID, maxPIDs))
		}
	}
	return errors.Join(problems...)
}

// goBack returns to the settings that were good last. It is used on a deployment that failed, never on one that was interrupted.
func (s *session) goBack(ctx context.Context, cause error) error {
	good, err := s.lastGood()
	if err != nil || maps.Equal(good, s.settings) {
		// Nothing was ever good here, or it is the same thing that just failed.
		return cause
	}
	s.Report.Note("failed: %v", cause)
	s.Report.Note("going back to the configuration that was good last")
	s.settings = good
	if s.stack, err = stack.Open(ctx, s.Layout, s.lock, s.name, good); err == nil {
		err = s.Converge(ctx)
	}
	if err != nil {
		return needsPerson("%w\nand going back to the configuration that was good last failed too: %w", cause, err)
	}
	return &RolledBackError{Cause: cause}
}

func (s *session) goodFile() string {
	return filepath.Join(filepath.Dir(s.Layout.SecretsDir(s.name)), "last-good.json")
}

// everGood reports whether a deployment from here has ever succeeded.
func (s *session) everGood() bool {
	_, err := os.Stat(s.goodFile())
	return err == nil
}

func (s *session) lastGood() (stack.Settings, error) {
	content, err := os.ReadFile(s.goodFile())
	if err != nil {
		return nil, err
	}
	var good stack.Settings
	if err := json.Unmarshal(content, &good); err != nil {
		return nil, fmt.Errorf("%s: %w", s.goodFile(), err)
	}
	return good, nil
}

func (s *session) rememberGood() error {
	content, err := json.MarshalIndent(s.settings, "", "  ")
	if err == nil {
		err = atomicwriter.WriteFile(s.goodFile(), content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("remember the configuration that works: %w", err)
	}
	return nil
}

// Preview is what Up would do. Its JSON form is what `deliver preview --json` prints.
type Preview struct {
	Environment string         `json:"environment"`
	Changes     map[string]int `json:"changes"`
	Repairs     []string       `json:"repairs"`
}

// Preview says what Up would do, and does nothing.
func (o *Operator) Preview(ctx context.Context, name, image string) (Preview, error) {
	s, release, err := o.open(ctx, name, "preview", image)
	if err != nil {
		return Preview{}, err
	}
	defer release()
	repairs, err := s.drift(ctx)
	if err != nil {
		return Preview{}, err
	}
	outcome, err := s.stack.Preview(ctx, repairs.Replace(), s.Report.Step)
	if err != nil {
		return Preview{}, err
	}
	preview := Preview{Environment: name, Changes: outcome.Changes, Repairs: []string{}}
	for _, finding := range repairs {
		preview.Repairs = append(preview.Repairs, finding.String())
	}
	return preview, nil
}
