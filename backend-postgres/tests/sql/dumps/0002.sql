--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)




--
-- Name: accounts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.accounts (
    did text NOT NULL COLLATE pg_catalog."C",
    id bigint NOT NULL,
    handle text COLLATE pg_catalog."C",
    email text COLLATE pg_catalog."C",
    email_confirmed_at timestamp with time zone,
    password_hash text,
    status text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    repo bigint,
    import bigint,
    CONSTRAINT accounts_status_check CHECK ((status = ANY (ARRAY['active'::text, 'takendown'::text, 'suspended'::text, 'deactivated'::text, 'desynchronized'::text, 'throttled'::text])))
);


--
-- Name: blob_uses; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.blob_uses (
    repo bigint NOT NULL,
    cid bytea NOT NULL,
    path text NOT NULL COLLATE pg_catalog."C"
);


--
-- Name: blobs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.blobs (
    account bigint NOT NULL,
    cid bytea NOT NULL,
    mime text NOT NULL,
    bytes bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT blobs_bytes_check CHECK ((bytes >= 0)),
    CONSTRAINT blobs_cid_check CHECK ((octet_length(cid) = 36))
);


--
-- Name: blocks; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.blocks (
    repo bigint NOT NULL,
    cid bytea NOT NULL,
    refs bigint NOT NULL,
    released bigint NOT NULL,
    bytes bytea NOT NULL,
    CONSTRAINT blocks_cid_check CHECK ((octet_length(cid) = 36)),
    CONSTRAINT blocks_refs_check CHECK ((refs >= 0))
)
WITH (fillfactor='70', toast_tuple_target='128');
ALTER TABLE ONLY public.blocks ALTER COLUMN bytes SET STORAGE EXTERNAL;


--
-- Name: changes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.changes (
    pos bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    first_seq bigint NOT NULL,
    body bytea NOT NULL
);
ALTER TABLE ONLY public.changes ALTER COLUMN body SET STORAGE EXTERNAL;


--
-- Name: commits; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.commits (
    repo bigint NOT NULL,
    rev text NOT NULL COLLATE pg_catalog."C",
    cid bytea NOT NULL,
    data bytea NOT NULL,
    pos bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT commits_cid_check CHECK ((octet_length(cid) = 36)),
    CONSTRAINT commits_data_check CHECK ((octet_length(data) = 36))
);


--
-- Name: events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.events (
    seq bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    frame bytea NOT NULL
);
ALTER TABLE ONLY public.events ALTER COLUMN frame SET STORAGE EXTERNAL;


--
-- Name: links; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.links (
    repo bigint NOT NULL,
    link bytea NOT NULL,
    path text NOT NULL COLLATE pg_catalog."C",
    field text NOT NULL,
    target text NOT NULL,
    CONSTRAINT links_link_check CHECK ((octet_length(link) = 32))
);


--
-- Name: migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.migrations (
    version integer NOT NULL,
    name text NOT NULL,
    sha256 bytea NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: mutations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.mutations (
    pos bigint NOT NULL,
    did text NOT NULL COLLATE pg_catalog."C",
    key bytea NOT NULL,
    digest bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    first_seq bigint NOT NULL,
    events integer NOT NULL,
    taken bytea,
    repo bigint,
    released bytea,
    replaced text COLLATE pg_catalog."C",
    CONSTRAINT mutations_key_check CHECK ((octet_length(key) = 16))
);


--
-- Name: records; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.records (
    repo bigint NOT NULL,
    path text NOT NULL COLLATE pg_catalog."C",
    cid bytea NOT NULL,
    pos bigint NOT NULL,
    mentions jsonb,
    CONSTRAINT records_cid_check CHECK ((octet_length(cid) = 36))
);


--
-- Name: repos; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.repos (
    id bigint NOT NULL,
    did text NOT NULL COLLATE pg_catalog."C",
    head_cid bytea,
    head_rev text COLLATE pg_catalog."C",
    data bytea,
    records bigint NOT NULL,
    refs bigint NOT NULL,
    bytes bigint NOT NULL,
    CONSTRAINT repos_bytes_check CHECK ((bytes >= 0)),
    CONSTRAINT repos_check CHECK ((((head_cid IS NULL) = (head_rev IS NULL)) AND ((head_cid IS NULL) = (data IS NULL)))),
    CONSTRAINT repos_records_check CHECK ((records >= 0)),
    CONSTRAINT repos_refs_check CHECK ((refs >= 0))
)
WITH (fillfactor='60');


--
-- Name: rows; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.rows (
    kind smallint NOT NULL,
    key bytea NOT NULL,
    owner bigint,
    unique_0 bytea,
    unique_1 bytea,
    unique_2 bytea,
    unique_3 bytea,
    lookup_0 bytea,
    lookup_1 bytea,
    lookup_2 bytea,
    lookup_3 bytea,
    expires_at timestamp with time zone,
    body bytea NOT NULL,
    json jsonb
);


--
-- Name: slots; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.slots (
    name text NOT NULL COLLATE pg_catalog."C",
    pos bigint NOT NULL,
    created_at timestamp with time zone NOT NULL
);


--
-- Name: store; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.store (
    id bytea NOT NULL,
    epoch bigint DEFAULT 1 NOT NULL,
    writable boolean DEFAULT true NOT NULL,
    turn bigint DEFAULT 0 NOT NULL,
    pos bigint DEFAULT 0 NOT NULL,
    seq bigint DEFAULT 0 NOT NULL,
    at timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    swept_at timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    swept_pos bigint DEFAULT 0 NOT NULL,
    changes_after bigint,
    oldest bigint NOT NULL,
    CONSTRAINT store_id_check CHECK ((octet_length(id) = 16)),
    CONSTRAINT store_seq_check CHECK (((seq >= 0) AND (seq <= '9007199254740991'::bigint)))
)
WITH (fillfactor='10');

ALTER TABLE ONLY public.store REPLICA IDENTITY FULL;


--
-- Name: sweeps; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.sweeps (
    kind smallint NOT NULL,
    id bigint NOT NULL,
    pos bigint NOT NULL,
    since timestamp with time zone NOT NULL,
    after bytea DEFAULT '\x'::bytea NOT NULL,
    CONSTRAINT sweeps_kind_check CHECK ((kind = ANY (ARRAY[1, 2, 3])))
);


--
-- Data for Name: accounts; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.accounts VALUES ('did:plc:dumped', 1, 'dumped.example.com', 'dumped@example.com', NULL, 'a hash', 'active', '2026-01-02 03:04:05.678901+00', 2, NULL);


--
-- Data for Name: blob_uses; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: blobs; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: blocks; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.blocks VALUES (2, '\x01711220308d401d52873f53f1ca364e5f37b29b3734445aae1e27efb9225b27382535e1', 1, 0, '\xa26474657874636f6e6565247479706570636f6d2e6578616d706c652e6e6f7465');
INSERT INTO public.blocks VALUES (2, '\x01711220adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a', 1, 0, '\xa2616581a4616b52636f6d2e6578616d706c652e6e6f74652f316170006174f66176d82a58250001711220308d401d52873f53f1ca364e5f37b29b3734445aae1e27efb9225b27382535e1616cf6');
INSERT INTO public.blocks VALUES (2, '\x01711220faa4507515da3407bf421a77b01767cce4374f6403e2971512a0537369dc8cb8', 0, 3, '\xa6636469646e6469643a706c633a64756d706564637265766d336b65366b6733776b32323232637369674b61207369676e61747572656464617461d82a58250001711220adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a6470726576f66776657273696f6e03');
INSERT INTO public.blocks VALUES (2, '\x017112201607f1b27d1942de7dbb0333ca1a4af88b4105775e4960ef583955dfe8c5f25c', 1, 0, '\xa6636469646e6469643a706c633a64756d706564637265766d336b65366b6733776b32333232637369674b61207369676e61747572656464617461d82a5825000171122055ce8690a5a15e07feb2bbb403c7770b9ddb30b65002f17056adf73540ea8d336470726576f66776657273696f6e03');
INSERT INTO public.blocks VALUES (2, '\x0171122055ce8690a5a15e07feb2bbb403c7770b9ddb30b65002f17056adf73540ea8d33', 1, 0, '\xa2616581a4616b52636f6d2e6578616d706c652e6e6f74652f326170006174f66176d82a58250001711220a4c3ab4aa8fcc0654c8f3dfc0922582772a4a7e9695902e93e463485d4acda95616cd82a58250001711220c8850ed65cc9bfbfce7d2fa891ad1dc834b890c94ae71a366bc3afb6e0670a29');
INSERT INTO public.blocks VALUES (2, '\x01711220a4c3ab4aa8fcc0654c8f3dfc0922582772a4a7e9695902e93e463485d4acda95', 1, 0, '\xa264746578746374776f65247479706570636f6d2e6578616d706c652e6e6f7465');
INSERT INTO public.blocks VALUES (2, '\x01711220c8850ed65cc9bfbfce7d2fa891ad1dc834b890c94ae71a366bc3afb6e0670a29', 1, 0, '\xa2616580616cd82a58250001711220adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a');


--
-- Data for Name: changes; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.changes VALUES (1, '2026-01-02 03:04:05.678901+00', 1, '\x010e6469643a706c633a64756d706564010101010101010101010101010101010200011264756d7065642e6578616d706c652e636f6d011264756d706564406578616d706c652e636f6d0106612068617368000c10036b6579000000000e7b226a736f6e223a20747275657d0000');
INSERT INTO public.changes VALUES (2, '2026-01-02 03:04:05.678901+00', 1, '\x010e6469643a706c633a64756d7065640202020202020202020202020202020201040071faa4507515da3407bf421a77b01767cce4374f6403e2971512a0537369dc8cb8808080c8878ca4941871adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a0271faa4507515da3407bf421a77b01767cce4374f6403e2971512a0537369dc8cb871adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a000112636f6d2e6578616d706c652e6e6f74652f31000171308d401d52873f53f1ca364e5f37b29b3734445aae1e27efb9225b27382535e10000010271adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a71308d401d52873f53f1ca364e5f37b29b3734445aae1e27efb9225b27382535e10371faa4507515da3407bf421a77b01767cce4374f6403e2971512a0537369dc8cb873a6636469646e6469643a706c633a64756d706564637265766d336b65366b6733776b32323232637369674b61207369676e61747572656464617461d82a58250001711220adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a6470726576f66776657273696f6e0371adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a4ea2616581a4616b52636f6d2e6578616d706c652e6e6f74652f316170006174f66176d82a58250001711220308d401d52873f53f1ca364e5f37b29b3734445aae1e27efb9225b27382535e1616cf671308d401d52873f53f1ca364e5f37b29b3734445aae1e27efb9225b27382535e121a26474657874636f6e6565247479706570636f6d2e6578616d706c652e6e6f7465');
INSERT INTO public.changes VALUES (3, '2026-01-02 03:04:05.678901+00', 2, '\x010e6469643a706c633a64756d7065640303030303030303030303030303030301040171faa4507515da3407bf421a77b01767cce4374f6403e2971512a0537369dc8cb8808080c8878ca49418711607f1b27d1942de7dbb0333ca1a4af88b4105775e4960ef583955dfe8c5f25c808880c8878ca494187155ce8690a5a15e07feb2bbb403c7770b9ddb30b65002f17056adf73540ea8d3303711607f1b27d1942de7dbb0333ca1a4af88b4105775e4960ef583955dfe8c5f25c7155ce8690a5a15e07feb2bbb403c7770b9ddb30b65002f17056adf73540ea8d3371c8850ed65cc9bfbfce7d2fa891ad1dc834b890c94ae71a366bc3afb6e0670a290171faa4507515da3407bf421a77b01767cce4374f6403e2971512a0537369dc8cb80112636f6d2e6578616d706c652e6e6f74652f32000171a4c3ab4aa8fcc0654c8f3dfc0922582772a4a7e9695902e93e463485d4acda950001077375626a656374096469643a706c633a7801047155ce8690a5a15e07feb2bbb403c7770b9ddb30b65002f17056adf73540ea8d3371c8850ed65cc9bfbfce7d2fa891ad1dc834b890c94ae71a366bc3afb6e0670a2971adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a71a4c3ab4aa8fcc0654c8f3dfc0922582772a4a7e9695902e93e463485d4acda9505711607f1b27d1942de7dbb0333ca1a4af88b4105775e4960ef583955dfe8c5f25c73a6636469646e6469643a706c633a64756d706564637265766d336b65366b6733776b32333232637369674b61207369676e61747572656464617461d82a5825000171122055ce8690a5a15e07feb2bbb403c7770b9ddb30b65002f17056adf73540ea8d336470726576f66776657273696f6e037155ce8690a5a15e07feb2bbb403c7770b9ddb30b65002f17056adf73540ea8d3376a2616581a4616b52636f6d2e6578616d706c652e6e6f74652f326170006174f66176d82a58250001711220a4c3ab4aa8fcc0654c8f3dfc0922582772a4a7e9695902e93e463485d4acda95616cd82a58250001711220c8850ed65cc9bfbfce7d2fa891ad1dc834b890c94ae71a366bc3afb6e0670a2971c8850ed65cc9bfbfce7d2fa891ad1dc834b890c94ae71a366bc3afb6e0670a292fa2616580616cd82a58250001711220adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a71adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a4ea2616581a4616b52636f6d2e6578616d706c652e6e6f74652f316170006174f66176d82a58250001711220308d401d52873f53f1ca364e5f37b29b3734445aae1e27efb9225b27382535e1616cf671a4c3ab4aa8fcc0654c8f3dfc0922582772a4a7e9695902e93e463485d4acda9521a264746578746374776f65247479706570636f6d2e6578616d706c652e6e6f7465');


--
-- Data for Name: commits; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.commits VALUES (2, '3ke6kg3wk2222', '\x01711220faa4507515da3407bf421a77b01767cce4374f6403e2971512a0537369dc8cb8', '\x01711220adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a', 2, '2026-01-02 03:04:05.678901+00');
INSERT INTO public.commits VALUES (2, '3ke6kg3wk2322', '\x017112201607f1b27d1942de7dbb0333ca1a4af88b4105775e4960ef583955dfe8c5f25c', '\x0171122055ce8690a5a15e07feb2bbb403c7770b9ddb30b65002f17056adf73540ea8d33', 3, '2026-01-02 03:04:05.678901+00');


--
-- Data for Name: events; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.events VALUES (1, '2026-01-02 03:04:05.678901+00', '\xa261746723636f6d6d6974626f7001ab636f707381a363636964d82a58250001711220308d401d52873f53f1ca364e5f37b29b3734445aae1e27efb9225b27382535e1647061746872636f6d2e6578616d706c652e6e6f74652f3166616374696f6e66637265617465637265766d336b65366b6733776b323232326373657101647265706f6e6469643a706c633a64756d7065646474696d657818323032362d30312d30325430333a30343a30352e3637385a65626c6f6273806573696e6365f666626c6f636b7359018d3aa265726f6f747381d82a58250001711220faa4507515da3407bf421a77b01767cce4374f6403e2971512a0537369dc8cb86776657273696f6e01970101711220faa4507515da3407bf421a77b01767cce4374f6403e2971512a0537369dc8cb8a6636469646e6469643a706c633a64756d706564637265766d336b65366b6733776b32323232637369674b61207369676e61747572656464617461d82a58250001711220adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a6470726576f66776657273696f6e037201711220adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0aa2616581a4616b52636f6d2e6578616d706c652e6e6f74652f316170006174f66176d82a58250001711220308d401d52873f53f1ca364e5f37b29b3734445aae1e27efb9225b27382535e1616cf64501711220308d401d52873f53f1ca364e5f37b29b3734445aae1e27efb9225b27382535e1a26474657874636f6e6565247479706570636f6d2e6578616d706c652e6e6f746566636f6d6d6974d82a58250001711220faa4507515da3407bf421a77b01767cce4374f6403e2971512a0537369dc8cb866726562617365f466746f6f426967f4');
INSERT INTO public.events VALUES (2, '2026-01-02 03:04:05.678901+00', '\xa261746723636f6d6d6974626f7001ac636f707381a363636964d82a58250001711220a4c3ab4aa8fcc0654c8f3dfc0922582772a4a7e9695902e93e463485d4acda95647061746872636f6d2e6578616d706c652e6e6f74652f3266616374696f6e66637265617465637265766d336b65366b6733776b323332326373657102647265706f6e6469643a706c633a64756d7065646474696d657818323032362d30312d30325430333a30343a30352e3637385a65626c6f6273806573696e63656d336b65366b6733776b3232323266626c6f636b7359027d3aa265726f6f747381d82a582500017112201607f1b27d1942de7dbb0333ca1a4af88b4105775e4960ef583955dfe8c5f25c6776657273696f6e019701017112201607f1b27d1942de7dbb0333ca1a4af88b4105775e4960ef583955dfe8c5f25ca6636469646e6469643a706c633a64756d706564637265766d336b65366b6733776b32333232637369674b61207369676e61747572656464617461d82a5825000171122055ce8690a5a15e07feb2bbb403c7770b9ddb30b65002f17056adf73540ea8d336470726576f66776657273696f6e039a010171122055ce8690a5a15e07feb2bbb403c7770b9ddb30b65002f17056adf73540ea8d33a2616581a4616b52636f6d2e6578616d706c652e6e6f74652f326170006174f66176d82a58250001711220a4c3ab4aa8fcc0654c8f3dfc0922582772a4a7e9695902e93e463485d4acda95616cd82a58250001711220c8850ed65cc9bfbfce7d2fa891ad1dc834b890c94ae71a366bc3afb6e0670a295301711220c8850ed65cc9bfbfce7d2fa891ad1dc834b890c94ae71a366bc3afb6e0670a29a2616580616cd82a58250001711220adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a7201711220adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0aa2616581a4616b52636f6d2e6578616d706c652e6e6f74652f316170006174f66176d82a58250001711220308d401d52873f53f1ca364e5f37b29b3734445aae1e27efb9225b27382535e1616cf64501711220a4c3ab4aa8fcc0654c8f3dfc0922582772a4a7e9695902e93e463485d4acda95a264746578746374776f65247479706570636f6d2e6578616d706c652e6e6f746566636f6d6d6974d82a582500017112201607f1b27d1942de7dbb0333ca1a4af88b4105775e4960ef583955dfe8c5f25c66726562617365f466746f6f426967f4687072657644617461d82a58250001711220adc7b6140558e0b038501efbd3e8dd2c4856689f880d61a4e415591e66a72d0a');


--
-- Data for Name: links; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.links VALUES (2, '\x9f13e46e0eac26c8ee9eef17aeea9cfadcbc12ca8f48f4f1bca000e05287219b', 'com.example.note/2', 'subject', 'did:plc:x');


--
-- Data for Name: migrations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.migrations VALUES (1, 'schema', '\xc4d7b605470007cf80f62b96739ac8d4788d8962d7d697240189415b272dce0e', '2026-11-22 09:37:39.270556+00');
INSERT INTO public.migrations VALUES (2, 'old_snapshots', '\x94594de3b325b8e2aca9b6a3876f5bb0610a3a0cd03e22aa6bc9b247dd366d69', '2026-11-22 09:37:39.270556+00');


--
-- Data for Name: mutations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.mutations VALUES (1, 'did:plc:dumped', '\x01010101010101010101010101010101', 9147363876571073081, '2026-01-02 03:04:05.678901+00', 0, 0, NULL, NULL, NULL, NULL);
INSERT INTO public.mutations VALUES (2, 'did:plc:dumped', '\x02020202020202020202020202020202', -5376779784596278770, '2026-01-02 03:04:05.678901+00', 1, 1, NULL, 2, NULL, NULL);
INSERT INTO public.mutations VALUES (3, 'did:plc:dumped', '\x03030303030303030303030303030303', -3765296926395832280, '2026-01-02 03:04:05.678901+00', 2, 1, NULL, 2, '\x01711220faa4507515da3407bf421a77b01767cce4374f6403e2971512a0537369dc8cb8', '3ke6kg3wk2222');


--
-- Data for Name: records; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.records VALUES (2, 'com.example.note/1', '\x01711220308d401d52873f53f1ca364e5f37b29b3734445aae1e27efb9225b27382535e1', 2, NULL);
INSERT INTO public.records VALUES (2, 'com.example.note/2', '\x01711220a4c3ab4aa8fcc0654c8f3dfc0922582772a4a7e9695902e93e463485d4acda95', 3, '{"blobs": [], "links": [["subject", "did:plc:x"]]}');


--
-- Data for Name: repos; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.repos VALUES (2, 'did:plc:dumped', '\x017112201607f1b27d1942de7dbb0333ca1a4af88b4105775e4960ef583955dfe8c5f25c', '3ke6kg3wk2322', '\x0171122055ce8690a5a15e07feb2bbb403c7770b9ddb30b65002f17056adf73540ea8d33', 2, 6, 424);


--
-- Data for Name: rows; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.rows VALUES (17, '\x6b6579', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '\x7b226a736f6e223a20747275657d', '{"json": true}');


--
-- Data for Name: slots; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.slots VALUES ('conformance', 0, '1970-01-01 00:00:00+00');


--
-- Data for Name: store; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.store VALUES ('\xac541ddb7d374f26bc919131bd99d6fa', 1, true, 4, 3, 2, '2026-01-02 03:04:05.678901+00', '1970-01-01 00:00:00+00', 0, 0, 1);


--
-- Data for Name: sweeps; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Name: accounts accounts_email; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_email UNIQUE (email) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: accounts accounts_handle; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_handle UNIQUE (handle) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: accounts accounts_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_id_key UNIQUE (id);


--
-- Name: accounts accounts_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (did);


--
-- Name: blob_uses blob_uses_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.blob_uses
    ADD CONSTRAINT blob_uses_pkey PRIMARY KEY (repo, cid, path);


--
-- Name: blobs blobs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.blobs
    ADD CONSTRAINT blobs_pkey PRIMARY KEY (account, cid);


--
-- Name: blocks blocks_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.blocks
    ADD CONSTRAINT blocks_pkey PRIMARY KEY (repo, cid);


--
-- Name: changes changes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.changes
    ADD CONSTRAINT changes_pkey PRIMARY KEY (pos);


--
-- Name: commits commits_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.commits
    ADD CONSTRAINT commits_pkey PRIMARY KEY (repo, rev);


--
-- Name: events events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (seq);


--
-- Name: links links_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.links
    ADD CONSTRAINT links_pkey PRIMARY KEY (repo, link, path);


--
-- Name: migrations migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (version);


--
-- Name: mutations mutations_did_key_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.mutations
    ADD CONSTRAINT mutations_did_key_key UNIQUE (did, key);


--
-- Name: mutations mutations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.mutations
    ADD CONSTRAINT mutations_pkey PRIMARY KEY (pos);


--
-- Name: records records_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.records
    ADD CONSTRAINT records_pkey PRIMARY KEY (repo, path);


--
-- Name: repos repos_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.repos
    ADD CONSTRAINT repos_pkey PRIMARY KEY (id);


--
-- Name: rows rows_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.rows
    ADD CONSTRAINT rows_pkey PRIMARY KEY (kind, key);


--
-- Name: rows rows_unique_0; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.rows
    ADD CONSTRAINT rows_unique_0 UNIQUE (kind, unique_0) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: rows rows_unique_1; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.rows
    ADD CONSTRAINT rows_unique_1 UNIQUE (kind, unique_1) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: rows rows_unique_2; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.rows
    ADD CONSTRAINT rows_unique_2 UNIQUE (kind, unique_2) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: rows rows_unique_3; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.rows
    ADD CONSTRAINT rows_unique_3 UNIQUE (kind, unique_3) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: slots slots_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.slots
    ADD CONSTRAINT slots_pkey PRIMARY KEY (name);


--
-- Name: sweeps sweeps_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.sweeps
    ADD CONSTRAINT sweeps_pkey PRIMARY KEY (kind, id, pos);


--
-- Name: rows_expiry; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX rows_expiry ON public.rows USING btree (expires_at) WHERE (expires_at IS NOT NULL);


--
-- Name: rows_lookup_0; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX rows_lookup_0 ON public.rows USING btree (kind, lookup_0, key) WHERE (lookup_0 IS NOT NULL);


--
-- Name: rows_lookup_1; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX rows_lookup_1 ON public.rows USING btree (kind, lookup_1, key) WHERE (lookup_1 IS NOT NULL);


--
-- Name: rows_lookup_2; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX rows_lookup_2 ON public.rows USING btree (kind, lookup_2, key) WHERE (lookup_2 IS NOT NULL);


--
-- Name: rows_lookup_3; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX rows_lookup_3 ON public.rows USING btree (kind, lookup_3, key) WHERE (lookup_3 IS NOT NULL);


--
-- Name: rows_owner; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX rows_owner ON public.rows USING btree (owner, kind, key) WHERE (owner IS NOT NULL);


--
-- Name: store_turn; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX store_turn ON public.store USING btree (turn);


--
-- Name: sweeps_since; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX sweeps_since ON public.sweeps USING btree (since);


--
-- Name: rows rows_owner_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.rows
    ADD CONSTRAINT rows_owner_fkey FOREIGN KEY (owner) REFERENCES public.accounts(id) DEFERRABLE INITIALLY DEFERRED;


--
-- PostgreSQL database dump complete
--


