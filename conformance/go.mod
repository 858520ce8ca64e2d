module bookshelf/conformance

go 1.26.0
