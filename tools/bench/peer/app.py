"""The books of Bookshelf as a course project would serve them: Flask, SQLAlchemy, gunicorn.

It answers what the benchmark asks, with the same fields and status codes, from the same table. It has no tokens, no
metrics and no log of requests, and does not validate what it is sent: all of that would only make it slower.
"""

import os
from datetime import datetime, timezone

from flask import Flask, jsonify, request
from sqlalchemy import ARRAY, BigInteger, Column, DateTime, Integer, Text, create_engine, func, select
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Session, declarative_base, deferred

app = Flask(__name__)
app.json.sort_keys = False
# libpq's own variables say where. A connection for each thread of the worker, kept open.
engine = create_engine("postgresql+psycopg2://", pool_size=int(os.environ["THREADS"]), max_overflow=0)
Base = declarative_base()


class Book(Base):
    __tablename__ = "books"
    __mapper_args__ = {"eager_defaults": True}  # what the database fills in comes back with the statement

    id = Column(BigInteger, primary_key=True)
    title = Column(Text)
    authors = Column(ARRAY(Text))
    isbn13 = Column(Text)
    published_year = Column(Integer)
    language = Column(Text)
    description = Column(Text)
    version = Column(BigInteger, server_default="1")
    created_at = Column(DateTime(timezone=True), server_default=func.now())
    updated_at = Column(DateTime(timezone=True), server_default=func.now(), onupdate=func.now())
    search = deferred(Column(TSVECTOR, server_default=""))  # filled by a trigger


FIELDS = ("title", "authors", "isbn13", "published_year", "language", "description")


def when(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def shown(book: Book) -> dict:
    fields = {"id": book.id} | {name: getattr(book, name) for name in FIELDS}
    return fields | {"version": book.version, "created_at": when(book.created_at), "updated_at": when(book.updated_at)}


def session() -> Session:
    return Session(engine, expire_on_commit=False)


@app.get("/readyz")
def ready():
    with session() as s:
        s.execute(select(1))
    return "ok"


@app.get("/api/v1/books/<int:number>")
def get(number: int):
    with session() as s:
        book = s.get(Book, number)
        return jsonify(shown(book)) if book else ("", 404)


@app.get("/api/v1/books")
def find():
    statement = select(Book)
    if words := request.args.get("q"):
        query = func.websearch_to_tsquery("pg_catalog.simple", words.lower())
        statement = statement.where(Book.search.op("@@")(query)).order_by(func.ts_rank(Book.search, query).desc())
    limit = int(request.args.get("limit", 20))
    with session() as s:
        # One more than are shown tells whether there is a next page.
        books = s.scalars(statement.order_by(Book.id).limit(limit + 1)).all()
        more = str(books[limit - 1].id) if len(books) > limit else None
        return jsonify({"items": [shown(book) for book in books[:limit]], "next_cursor": more})


@app.post("/api/v1/books")
def create():
    body = request.get_json()
    book = Book(**{name: body.get(name) for name in FIELDS})
    with session() as s:
        s.add(book)
        s.commit()
    return jsonify(shown(book)), 201, {"Location": f"/api/v1/books/{book.id}"}


@app.put("/api/v1/books/<int:number>")
def replace(number: int):
    body = request.get_json()
    with session() as s:
        book = s.get(Book, number)
        if book is None:
            return "", 404
        for name in FIELDS:
            setattr(book, name, body.get(name))
        book.version += 1
        s.commit()
    return jsonify(shown(book))
