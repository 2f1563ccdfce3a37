-- A database as the first version wrote it. It never changes: every later version must open it.
PRAGMA application_id=1751475300;
PRAGMA user_version=1;
CREATE TABLE record_meta(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE record_function(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE record_version(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE record_alias(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE record_policy(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE record_event_config(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE record_function_url(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE record_provisioned(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE record_layer(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE record_layer_version(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE record_event_source(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE record_code_signing(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE record_instance(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE record_schedule(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE counter(name TEXT NOT NULL UNIQUE, value INTEGER NOT NULL);
INSERT INTO counter(name, value) VALUES('seq', 65537);
CREATE TABLE queue(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE item(seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, dead INTEGER NOT NULL, due INTEGER NOT NULL, first INTEGER NOT NULL, attempts INTEGER NOT NULL, id TEXT NOT NULL, meta TEXT NOT NULL, reason TEXT, body BLOB NOT NULL);
CREATE INDEX item_due ON item(queue, due, first) WHERE dead=0;
CREATE INDEX item_dead ON item(queue) WHERE dead=1;
INSERT INTO record_meta(key, json) VALUES('node', '{"id":"0190a7a0-0000-7000-8000-000000000001"}');
INSERT INTO record_function(key, json) VALUES('000000000000/us-east-1/resize', '{"name":"resize"}');
INSERT INTO record_alias(key, json) VALUES('000000000000/us-east-1/resize/prod', '{"version":"7"}');
INSERT INTO queue(id, name) VALUES(1, 'lambda:000000000000/us-east-1/resize');
INSERT INTO queue(id, name) VALUES(2, 'nothing is in it any more');
INSERT INTO item(seq, queue, dead, due, first, attempts, id, meta, reason, body) VALUES
 (1, 1, 0, 2000, 1000, 1, 'waits', '{"qualifier":"prod"}', NULL, x'7b7d'),
 (2, 1, 1, 1500, 1500, 3, 'gone wrong', '{}', 'three times', x'00ff'),
 (3, 1, 0, 1000, 1000, 0, 'was running', '{}', NULL, x'5b5d');
