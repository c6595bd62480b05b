/** What bench/static reads out of a driver's listing. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readListing } from "../../bench/static/listing.ts";

const statistics = (waves: number): string => `
*** SHADER STATS ***
SGPRs: 128
VGPRs: 60
Spilled SGPRs: 1
Spilled VGPRs: 2
LDS size: 4096
Subgroups per SIMD: ${waves}
Instructions: 20
Inverse Throughput: 123
********************
`;

/** A loop with an inner loop, as RDNA3 has them; the code behind a semicolon is the encoding. */
const rdna = `
BB0:
\ts_load_b128 s[8:11], s[0:1], 0x10                           ; f4080200 f8000010
BB1:
\tv_mov_b32_e32 v4, 0                                         ; 7e080280
BB2:
\ts_clause 0x1                                                ; bf850001
\tbuffer_load_b128 v[20:23], v5, s[8:11], 0 offen             ; e05c0000 80421405
\tbuffer_load_b128 v[24:27], v7, s[8:11], 0 offen             ; e05c0000 80421807
\tbuffer_load_b32 v28, v9, s[8:11], 0 offen                   ; e05c0000 80421c09
\ts_waitcnt vmcnt(1)                                          ; bf8903f7
\tbuffer_load_b32 v29, v9, s[8:11], 0 offen                   ; e05c0000 80421c09
\tds_load_b128 v[0:3], v1                                     ; d8fc0000
\tv_dual_fmac_f32 v1, v2, v3 :: v_dual_fmac_f32 v4, v5, v6    ; c8000000
\tv_fma_f32 v1, v2, v3, v1                                    ; d6130001
\tv_dual_mul_f32 v1, v2, v3 :: v_dual_fmac_f32 v4, v5, v6     ; c8000000
\ts_delay_alu instid0(VALU_DEP_1)                             ; bf870001
\tds_store_b128 v1, v[4:7]                                    ; db7c0000 00000401
\ts_add_i32 s2, s2, 1                                         ; 81028102
\ts_cbranch_scc0 BB2                                          ; bfa1000a
BB3:
\ts_cbranch_scc1 BB1                                          ; bfa1000a
BB4:
\ts_endpgm                                                    ; bfb00000
`;

test("the hot part is the innermost loop, and halves of dual instructions count one by one", () => {
  const { hot, vgprs, spills, lds, inverse_throughput } = readListing(rdna + statistics(24));
  assert.equal(
    { vgprs, spills, lds, inverse_throughput },
    { vgprs: 60, spills: 3, lds: 4096, inverse_throughput: 123 },
  );
  assert.equal(hot, {
    unrolled: false,
    fma: 4,
    valu: 1,
    loads: 4,
    stores: 0,
    lds_reads: 1,
    lds_writes: 1,
    scalar: 2,
    waits: 1,
    // Three, of which the wait leaves one, and one more.
    in_flight: 3,
  });
});

test("waves are counted in their own size", () => {
  const of = (text: string) => {
    const { waves, wave_size } = readListing(text + statistics(24));
    return [waves, wave_size];
  };
  assert.equal(of(rdna), [12, 64], "RDNA3 prints waves of 32");
  assert.equal(of(rdna.replace("s_add_i32 s2, s2, 1", "s_and_b32 exec_lo, exec_lo, s2")), [24, 32]);
  const vega = rdna
    .replace("s_delay_alu instid0(VALU_DEP_1)", "s_nop 0")
    .replaceAll("buffer_load_b", "buffer_load_dwordx");
  assert.equal(of(vega), [24, 64]);
});

test("where all is unrolled, a loop of the epilogue is not the hot part", () => {
  const block = Array.from({ length: 40 }, () => "\tv_fma_f32 v1, v2, v3, v1 ; d6130001").join("\n");
  const { hot } = readListing(
    `BB0:\n${block}\nBB1:\n\tv_fma_f32 v1, v2, v3, v1 ; 0\n\ts_cbranch_scc0 BB1 ; 0\n${statistics(16)}`,
  );
  assert.is(hot.unrolled, true);
  assert.is(hot.fma, 40);
});

test("a listing without statistics is refused by name", () => {
  assert.throws(() => readListing(rdna), /no "VGPRs"/);
});

test.run();
