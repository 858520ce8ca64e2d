package postgres

// ListStatement lets a test ask the planner about the statements of List.
var ListStatement = listStatement
