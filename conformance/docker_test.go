package conformance

import "bookshelf/conformance/internal/engine"

// The words in which these tests speak of the engine.
var (
	need           = engine.Need
	needEngine     = engine.NeedPostgres
	imageUnderTest = engine.ImageUnderTest
	uniqueName     = engine.UniqueName
	tryDocker      = engine.Try
	docker         = engine.Run
	cleanUp        = engine.CleanUp
	inspect        = engine.Inspect
	eventually     = engine.Eventually
	waitHealthy    = engine.WaitHealthy
	address        = engine.Address
)

type container = engine.Container

const postgresImage = engine.PostgresImage
