package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"bookshelf/infra/drift"
	"bookshelf/infra/environment"
	"bookshelf/infra/release"
	"bookshelf/infra/release/history"
	"bookshelf/infra/release/probe"
	"bookshelf/infra/target"
)

// ReleaseOptions say how a release proceeds, beyond the environment's configuration.
type ReleaseOptions struct {
	// Profile names another profile than the environment's, "" for none; Bake and Load are other lengths of the bake and of the load,
	// negative for none.
	Profile    string
	Bake, Load time.Duration
	// Rate is another number of probe requests per second than the service's, 0 for none.
	Rate float64
	// Comparison is asked for before anything is moved; nil asks for none.
	Comparison *Comparison
	// WithoutArchiving is why the release may go on although the write-ahead log does not reach the backups; "" where it may not.
	WithoutArchiving string
	// Progress is told what happens while it happens.
	Progress func(release.Progress)
}

// Release brings an image into an environment that serves: into the slot that does not, then its traffic step by step, judged at each
// against the image that serves, and taken back by itself when anything is wrong. Every request of a constant stream is accounted for
// meanwhile. The report is kept in the environment's history, however it ended; the error is about what kept it from beginning.
func (o *Operator) Release(ctx context.Context, name, image string, options ReleaseOptions) (release.Report, error) {
	s, unlock, err := o.reopen(ctx, name, "release")
	if err != nil {
		return release.Report{}, err
	}
	defer unlock()
	profile, err := s.profile(options)
	if err != nil {
		return release.Report{}, err
	}
	if err := s.settleRelease(ctx); err != nil {
		return release.Report{}, err
	}
	if image, err = s.chooseImage(ctx, image, false); err != nil {
		return release.Report{}, err
	}
	note, err := s.compare(options.Comparison, image)
	if err != nil {
		return release.Report{}, err
	}
	if err := s.rememberVerified(); err != nil {
		return release.Report{}, err
	}
	r := run{
		target:  s.target(),
		profile: profile, options: options, to: image, compared: note,
		do: func(r release.Release, ctx context.Context, order release.Order) release.Report {
			return r.Run(ctx, order)
		},
	}
	r.target.Fill = new(s.config.Fill(image, s.slots.LiveSlot().Replicas))
	return s.carryOut(ctx, r)
}

// compare asks how the image compares with the one that serves, where that is asked for.
func (s *session) compare(c *Comparison, image string) (string, error) {
	if c == nil {
		return "", nil
	}
	note, err := c.judge(s.name, filepath.Dir(s.Layout.Infra), s.slots.LiveSlot().Image, image)
	if err == nil {
		s.Report.Note("%s", note)
	}
	return note, err
}

// run is one change of the slot that serves.
type run struct {
	target  *target.Environment
	profile release.Profile
	options ReleaseOptions
	// to is the image that is to serve; compared says how it compares with the one that does.
	to, compared string
	do           func(release.Release, context.Context, release.Order) release.Report
}

// target is the session's environment as a release sees it.
func (s *session) target() *target.Environment {
	return &target.Environment{
		Stack: s, Platform: s.Platform, Env: s.env, Edge: s.edge, Database: s.database, Backup: s.backup,
		Paths: s.config.Service.Smoke,
	}
}

// Commit implements target.Stack.
func (s *session) Commit(ctx context.Context) error {
	if _, err := s.stack.Up(ctx, nil, s.Report.Step); err != nil {
		return err
	}
	return s.rememberGood()
}

// Forgive implements target.Stack.
func (s *session) Forgive(ctx context.Context, names []string) error {
	return s.stack.Forgive(ctx, names)
}

// carryOut does it under the probe, and keeps the report.
func (s *session) carryOut(ctx context.Context, r run) (release.Report, error) {
	id := newID()
	config, err := probe.Parse(string(s.config.Service.Probe))
	if err != nil {
		return release.Report{}, &UsageError{Problem: fmt.Sprintf("%s:service: probe: %v", environment.Namespace, err)}
	}
	if r.options.Rate != 0 {
		config.Rate = r.options.Rate
		if err := config.Validate(); err != nil {
			return release.Report{}, &UsageError{Problem: err.Error()}
		}
	}
	bearer, withdraw, err := s.issue(ctx, id)
	if err != nil {
		return release.Report{}, err
	}
	if bearer != "" {
		config = config.Authorized(bearer)
	}
	report, err := s.underProbe(ctx, r, id, config)
	// Whatever ended the release, its credential does.
	return report, errors.Join(err, withdraw(context.WithoutCancel(ctx)))
}

// underProbe carries out a run while the probe sends its requests.
func (s *session) underProbe(ctx context.Context, r run, id string, config probe.Config) (release.Report, error) {
	s.edge.Keep()
	defer s.edge.Close()
	var err error
	order := release.Order{
		ID: id, Environment: s.name,
		From: release.Version{Slot: s.slots.Live, Image: s.slots.LiveSlot().Image},
		To:   release.Version{Slot: environment.OtherSlot(s.slots.Live), Image: r.to}, Compared: r.compared,
	}
	if s.verified != nil {
		order.Verified = fmt.Sprintf("signed with %s, SBOM of %d components", s.verified.Signer, s.verified.Components)
	}
	t := r.target
	past := s.history(s.name)
	t.Folder, t.Reads, t.Release = past.Folder(id), config.Reads(id), id
	t.WithoutArchiving, order.WithoutArchiving = r.options.WithoutArchiving != "", r.options.WithoutArchiving
	if order.From.Version, err = t.Version(ctx, order.From.Slot); err != nil {
		return release.Report{}, err
	}
	if t.Probe, err = probe.Start(ctx, config, s.config.URL, id); err != nil {
		return release.Report{}, fmt.Errorf("%w: is %s where this machine reaches the edge? Otherwise set %s:url", err, s.config.URL, environment.Namespace)
	}
	machine := release.Release{
		Target: t, Traffic: t.Probe, Journal: release.FileJournal(s.Layout.JournalFile(s.name)), Profile: r.profile, Progress: r.options.Progress,
	}
	report := r.do(machine, ctx, order)
	report.To.Version = t.KnownVersion(order.To.Slot)
	// Whatever ended the release, its account is drawn up.
	ctx = context.WithoutCancel(ctx)
	err = s.account(ctx, t.Probe, config.Timeout, &report)
	return report, errors.Join(err, past.Save(report), s.tellReleases(past), past.Prune())
}

// account stops the probe and says what became of each request, those that wrote included.
func (s *session) account(ctx context.Context, p *probe.Probe, timeout time.Duration, report *release.Report) error {
	stopping, cancel := context.WithTimeout(ctx, timeout+5*time.Second)
	defer cancel()
	report.Account = p.Stop(stopping)
	report.Seconds = p.Seconds()
	service := s.config.Service
	if service.Written == "" {
		return nil
	}
	keys, err := s.database.Query(ctx, strings.ReplaceAll(service.Written, "{{run}}", report.ID))
	if err != nil {
		return fmt.Errorf("look for the writes of the probe: %w", err)
	}
	writes := probe.Reckon(keys, p.Written())
	report.Account.Writes = &writes
	if _, err := s.database.Query(ctx, strings.ReplaceAll(service.Removal, "{{run}}", report.ID)); err != nil {
		return fmt.Errorf("remove the writes of the probe: %w", err)
	}
	return nil
}

// profile is the environment's, with what the command says otherwise.
func (s *session) profile(options ReleaseOptions) (release.Profile, error) {
	settings := map[string]json.RawMessage{}
	if err := json.Unmarshal(s.config.Release, &settings); err != nil {
		return release.Profile{}, &UsageError{Problem: fmt.Sprintf("%s:release: %v", environment.Namespace, err)}
	}
	if options.Profile != "" {
		settings = map[string]json.RawMessage{"profile": json.RawMessage(fmt.Sprintf("%q", options.Profile))}
	}
	for key, instead := range map[string]time.Duration{"bake": options.Bake, "load": options.Load} {
		if instead >= 0 {
			settings[key] = json.RawMessage(fmt.Sprintf("%q", instead))
		}
	}
	content, err := json.Marshal(settings)
	if err != nil {
		return release.Profile{}, err
	}
	profile, err := release.ParseProfile(string(content))
	if err != nil {
		return release.Profile{}, &UsageError{Problem: fmt.Sprintf("%s:release: %v", environment.Namespace, err)}
	}
	return profile, nil
}

// settleRelease brings a release that was killed to an end: back, or forward where it was past its commit. A rotation that was cut short
// comes first: migrations and replicas have to be able to log in.
func (s *session) settleRelease(ctx context.Context) error {
	if err := s.settleRotation(ctx); err != nil {
		return err
	}
	journal := release.FileJournal(s.Layout.JournalFile(s.name))
	record, found, err := journal.Load()
	if err != nil {
		return needsPerson("%w", err)
	}
	if !found {
		return nil
	}
	s.Report.Note("release %s was cut short in phase %s: bringing it to an end", record.ID, record.Phase)
	if err := s.recover(ctx); err != nil {
		return err
	}
	if err := s.reviveEdge(ctx, record); err != nil {
		return err
	}
	t := s.target()
	t.Folder = s.history(s.name).Folder(record.ID)
	recovery, err := release.Recover(ctx, t, journal)
	if err != nil {
		return err
	}
	s.Report.Note("%s serves with %s", recovery.Live.Slot, recovery.Live.Image)
	for _, left := range recovery.NotUndone {
		s.Report.Note("%s", left)
	}
	return nil
}

// reviveEdge makes sure that there is an edge to tell where the traffic belongs. One that is gone comes back with the whole environment,
// without a slot that may be what is wrong with it.
func (s *session) reviveEdge(ctx context.Context, record release.Record) error {
	repairs, err := s.drift(ctx)
	if err != nil {
		return err
	}
	name := s.env.Part("edge")
	for _, finding := range repairs {
		switch {
		case finding.Name != name:
		case finding.Repair == drift.Start:
			return s.prepare(ctx, drift.Findings{finding}, &UpResult{})
		default:
			if !record.Forward() {
				if err := s.WriteSlots(s.slots.Without(record.To.Slot)); err != nil {
					return err
				}
			}
			return s.Converge(ctx)
		}
	}
	return nil
}

// Rollback takes the last release back by hand. While one is under way, the process that carries it out is told to. Afterwards the
// slot that served before is started again, or filled again with the image that it had, and given the traffic.
func (o *Operator) Rollback(ctx context.Context, name string, options ReleaseOptions) (release.Report, error) {
	s, unlock, err := o.reopen(ctx, name, "rollback")
	if locked, ok := lockedByRelease(err); ok {
		return o.interruptRelease(ctx, name, locked)
	}
	if err != nil {
		return release.Report{}, err
	}
	defer unlock()
	profile, err := s.profile(options)
	if err != nil {
		return release.Report{}, err
	}
	if err := s.settleRelease(ctx); err != nil {
		return release.Report{}, err
	}
	former, err := s.former()
	if err != nil {
		return release.Report{}, err
	}
	slot := environment.OtherSlot(s.slots.Live)
	t, replicas := s.target(), s.slots.LiveSlot().Replicas
	if kept, there := s.slots.Slots[slot]; !there || kept.Image != former.Image || kept.Replicas != replicas {
		t.Fill = new(s.config.Fill(former.Image, replicas)) // otherwise it is started as it was
	}
	return s.carryOut(ctx, run{
		target: t, profile: profile, options: options, to: former.Image,
		do: func(r release.Release, ctx context.Context, order release.Order) release.Report {
			return r.SwitchBack(ctx, order)
		},
	})
}

// History is what the releases of an environment have left; a name that is none's is a UsageError.
func (o *Operator) History(name string) (history.Store, error) {
	if _, err := o.settings(name); err != nil {
		return history.Store{}, err
	}
	return o.history(name), nil
}

func (o *Operator) history(name string) history.Store {
	return history.Store{Dir: o.Layout.HistoryDir(name)}
}

// former is what served before what serves now.
func (s *session) former() (release.Version, error) {
	reports, err := s.history(s.name).All()
	if err != nil {
		return release.Version{}, err
	}
	for _, r := range reports {
		if r.Outcome == release.OutcomeReleased && r.To.Image == s.slots.LiveSlot().Image && r.To.Slot == s.slots.Live {
			return r.From, nil
		}
	}
	return release.Version{}, &UsageError{Problem: fmt.Sprintf("there is no release of %s that could be taken back (see `deliver history -e %s`)", s.name, s.name)}
}

// Promotable is the image that serves in an environment, if it came there by a release that ended well: what may be released elsewhere.
func (o *Operator) Promotable(name string) (string, error) {
	past, err := o.History(name)
	if err != nil {
		return "", err
	}
	reports, err := past.All()
	if err != nil {
		return "", err
	}
	slots, err := environment.ReadSlots(o.Layout.State, name)
	if err != nil {
		return "", &UsageError{Problem: name + " is not deployed from " + filepath.Clean(o.Layout.State)}
	}
	live := slots.LiveSlot().Image
	for _, r := range reports {
		if r.To.Image == live && r.Outcome == release.OutcomeReleased {
			return live, nil
		}
	}
	return "", &UsageError{Problem: fmt.Sprintf("%s serves with %s, which has not stood a release there: `deliver release -e %s --image …` first", name, live, name)}
}
