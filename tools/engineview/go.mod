module bookshelf/tools/engineview

go 1.26.1
