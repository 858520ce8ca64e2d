package delivery

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"bookshelf/infra/environment"
	"bookshelf/infra/provenance"
)

// admit makes sure that the environment's policy accepts the image, and reports whether there is a policy at all. An image that is
// kept and was verified for the same signer is not verified again: repairing an environment must not need a registry.
func (s *session) admit(ctx context.Context, image string, kept bool) (admitted bool, err error) {
	config := s.config
	if config.Verify.Mode == environment.VerifyOff {
		return false, nil
	}
	policy := provenance.Policy{Mode: config.Verify.Mode, Key: config.Verify.Key, Identity: config.Verify.Identity, Issuer: config.Verify.Issuer}
	if policy.Key != "" && !filepath.IsAbs(policy.Key) {
		policy.Key = filepath.Join(s.Layout.Infra, policy.Key)
	}
	if digest, ok := provenance.Digest(image); ok && kept {
		record, found, err := s.records(s.name).Find(digest)
		if err != nil {
			return false, err
		}
		if found && record.Image == image && record.Satisfies(policy) {
			s.Report.Note("keeping %s, verified on %s", image, record.VerifiedAt.Format("2006-01-02 15:04"))
			return true, nil
		}
	}
	verifier, err := provenance.Find(s.Layout.Tools)
	if err != nil {
		return false, &UsageError{Problem: fmt.Sprintf("%s runs only verified images: %s", s.name, err)}
	}
	record, err := verifier.Verify(ctx, policy, image)
	if refused, ok := errors.AsType[*provenance.RefusedError](err); ok {
		return false, &UsageError{Problem: fmt.Sprintf("%s runs only verified images (bookshelf:verify is %s): %s", s.name, policy.Mode, refused)}
	}
	if err != nil {
		return false, err
	}
	s.Report.Note("verified %s: signed with %s, SBOM of %d components", image, record.Signer, record.Components)
	s.verified = &record
	return true, nil
}

// records are what was verified for an environment.
func (o *Operator) records(name string) provenance.Store {
	return provenance.Store{Dir: o.Layout.VerifiedDir(name)}
}

// rememberVerified notes what was verified, before anything is changed because of it.
func (s *session) rememberVerified() error {
	if s.verified == nil {
		return nil
	}
	return s.records(s.name).Save(*s.verified)
}

// verifiedImage is the record of an image that the engine runs, given by its ID; nil where none was verified.
func (o *Operator) verifiedImage(ctx context.Context, name, id string) (*provenance.Record, error) {
	all, err := o.records(name).All()
	if err != nil {
		return nil, err
	}
	for _, record := range all {
		// An image that the engine does not have is not the one that runs.
		if have, err := o.Platform.ImageID(ctx, record.Image); err == nil && have == id {
			return &record, nil
		}
	}
	return nil, nil
}
