-- How far the broker's streams had come, so that a broker that lost what it acknowledged is noticed even when every
-- process was down. One row; marks: [{"stream", "created", "last"}].
CREATE TABLE stream_marks (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    incarnation bigint NOT NULL,
    boot text NOT NULL,
    marks jsonb NOT NULL
);
