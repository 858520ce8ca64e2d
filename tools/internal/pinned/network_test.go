package pinned

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestABuildIsTriedAgainOnlyWhenTheNetworkFailed(t *testing.T) {
	t.Parallel()
	network := errors.New(`Get "https://proxy.example/x.zip": net/http: TLS handshake timeout`)
	code := errors.New("./main.go:2:15: undefined: undefined")
	refused := errors.New("reading https://proxy.example/x.mod: 403 Forbidden")
	for name, test := range map[string]struct {
		answers []error // of one try after the other
		want    error
	}{
		"at once":               {[]error{nil}, nil},
		"one lost connection":   {[]error{network, nil}, nil},
		"no network":            {[]error{network, network, network}, network},
		"code that is wrong":    {[]error{code}, code},
		"a version refused":     {[]error{refused}, refused},
		"wrong after a timeout": {[]error{network, code}, code},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				err := persistently(t.Context(), func() error {
					tries++
					return test.answers[tries-1]
				})
				if !errors.Is(err, test.want) || tries != len(test.answers) {
					t.Errorf("after %d tries: %v; want %d tries and %v", tries, err, len(test.answers), test.want)
				}
			})
		})
	}
}

func TestAnInterruptionEndsTheWaitForTheNetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		tries := 0
		err := persistently(ctx, func() error {
			tries++
			cancel()
			return errors.New("read: connection reset by peer")
		})
		if !errors.Is(err, context.Canceled) || tries != 1 {
			t.Errorf("after %d tries: %v", tries, err)
		}
	})
}
