-- Tables of bookface for the PostgreSQL family (PostgreSQL, CockroachDB, YugabyteDB).
-- Run it inside an existing database, as the owner of the tables. It makes no role and grants
-- nothing: who may do what belongs to the one who sets up the database.
--
-- There is no index beyond the primary keys, and pictures has no key at all, on purpose: that is
-- what the sites in the field look like, and what an index optimizer has to find.

create table if not exists users (
    userID       varchar(50) primary key default gen_random_uuid()::text,
    name         varchar(50),
    age          int,
    picture      varchar(300),
    status       varchar(10),
    bio          text,
    posts        int,
    stats        varchar(50),
    comments     int,
    lastPostDate timestamptz default now(),
    createDate   timestamptz default now()
);

create table if not exists posts (
    postID   varchar(50) primary key default gen_random_uuid()::text,
    userID   varchar(50),
    text     text,
    stats    varchar(200),
    name     varchar(150),
    image    varchar(50),
    postDate timestamptz default now()
);

create table if not exists comments (
    commentID varchar(50) primary key default gen_random_uuid()::text,
    postID    varchar(50),
    userID    varchar(50),
    stats     varchar(200),
    text      text,
    postDate  timestamptz default now()
);

-- picture holds the JPEG as hexadecimal text, not as raw bytes.
create table if not exists pictures (
    pictureID varchar(300),
    stats     varchar(200),
    picture   bytea
);
