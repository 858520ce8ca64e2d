package release

import (
	"context"
	"fmt"
)

// Recovery is what became of a release that was killed.
type Recovery struct {
	// Found is false when there was none.
	Found  bool
	Record Record
	// Live is what serves now.
	Live Version
	// NotUndone says plainly what going back has left as it is; nil where it went forward.
	NotUndone []string
}

// Recover brings an environment whose release was killed, at any point, to one of the two states in which it is whole: before the
// commit to the former slot, from there on to the new one. The target must be that of the record's release. It can be killed and called
// again. An error leaves the record in place, and says what to do.
func Recover(ctx context.Context, target Target, journal Journal) (Recovery, error) {
	record, found, err := journal.Load()
	if err != nil || !found {
		return Recovery{}, err
	}
	s := slots{Target: target, profile: record.Profile}
	recovery := Recovery{Found: true, Record: record, Live: record.From}
	switch {
	case record.untouched():
	case record.Forward():
		recovery.Live = record.To
		err = s.forward(ctx, record)
	default:
		recovery.NotUndone = notUndone(record)
		err = s.back(ctx, record)
	}
	if err == nil {
		err = journal.Clear()
	}
	if err != nil {
		return recovery, fmt.Errorf("%s was killed in phase %s and could not be recovered: %w; %s", record.ID, record.Phase, err, remedy(record.Environment))
	}
	return recovery, nil
}

// forward completes a release from its commit on.
func (s slots) forward(ctx context.Context, r Record) error {
	if err := s.ready(ctx, r.To.Slot); err != nil {
		return err
	}
	if err := s.serve(ctx, r.To.Slot); err != nil {
		return err
	}
	if err := s.commit(ctx, r.To.Slot); err != nil {
		return err
	}
	return s.standDown(ctx, r.From.Slot)
}

// back takes a release back.
func (s slots) back(ctx context.Context, r Record) error {
	if err := s.serve(ctx, r.From.Slot); err != nil {
		return err
	}
	return s.standDown(ctx, r.To.Slot)
}

// remedy is what a person types when a release is stuck.
func remedy(environment string) string {
	return fmt.Sprintf("see to that and run `deliver up -e %s`, which takes it up from there", environment)
}

// notUndone lists what going back from where a release has come to leaves as it is.
func notUndone(r Record) []string {
	left := []string{"the schema stays expanded: the former version works with it, and the next release finds it done"}
	if r.Phase != PhaseStart && r.Phase != PhaseSmoke && r.Phase != PhaseLoad {
		left = append(left, "what was written meanwhile stays written, also through the new version")
	}
	if r.RestorePoint != "" {
		left = append(left, "the restore point was not used and is kept: "+r.RestorePoint)
	}
	return left
}
