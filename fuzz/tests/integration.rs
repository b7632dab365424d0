//! The targets on random bytes, on what is almost right, and on what was right until it was damaged.

#[cfg(test)]
mod integration {
    use proptest::prelude::*;
    use sheaf_kernels::{Family, Grid, SampleRun, StateVec};

    /// A change of some bytes.
    #[derive(Clone, Debug)]
    enum Damage {
        Change(prop::sample::Index, u8),
        Insert(prop::sample::Index, Vec<u8>),
        Remove(prop::sample::Index, usize),
        Cut(prop::sample::Index),
        Repeat(prop::sample::Index, usize),
    }

    fn damage() -> impl Strategy<Value = Vec<Damage>> {
        let index = any::<prop::sample::Index>;
        let one = prop_oneof![
            4 => (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Change(at, byte)),
            2 => (index(), prop::collection::vec(any::<u8>(), 1..8))
                .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
            2 => (index(), 1..20_usize).prop_map(|(at, len)| Damage::Remove(at, len)),
            1 => index().prop_map(Damage::Cut),
            1 => (index(), 1..60_usize).prop_map(|(at, len)| Damage::Repeat(at, len)),
        ];
        prop::collection::vec(one, 0..6)
    }

    fn damaged(mut bytes: Vec<u8>, damages: Vec<Damage>) -> Vec<u8> {
        for damage in damages {
            if bytes.is_empty() {
                break;
            }
            let (len, place) = (bytes.len(), |at: prop::sample::Index, len: usize| at.index(len));
            match damage {
                Damage::Change(at, byte) => bytes[place(at, len)] = byte,
                Damage::Insert(at, new) => drop(bytes.splice(place(at, len)..place(at, len), new)),
                Damage::Remove(at, count) => {
                    let from = place(at, len);
                    bytes.drain(from..len.min(from + count));
                }
                Damage::Cut(at) => bytes.truncate(place(at, len)),
                Damage::Repeat(at, count) => {
                    let from = place(at, len);
                    let part = bytes[from..len.min(from + count)].to_vec();
                    bytes.splice(from..from, part);
                }
            }
        }
        bytes
    }

    /// Random bytes, pieces of a language in any order, or something right that was damaged.
    fn input(pieces: &'static [&'static str], right: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop::collection::vec(prop::sample::select(pieces), 0..40)
            .prop_map(|pieces| pieces.concat().into_bytes());
        prop_oneof![
            1 => prop::collection::vec(any::<u8>(), 0..300),
            3 => (pieces, damage()).prop_map(|(bytes, damages)| damaged(bytes, damages)),
            4 => (prop::sample::select(right), damage()).prop_map(|(bytes, damages)| damaged(bytes, damages)),
        ]
    }

    fn json() -> impl Strategy<Value = Vec<u8>> {
        const PIECES: &[&str] = &[
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\n",
            "\"time\"",
            "\"T1\"",
            "\"series\"",
            "\"value\"",
            "\"2020-01-01T00:00Z\"",
            "1577836800",
            "1.5e-3",
            "null",
            "true",
            "\"NaN\"",
            "\\",
            "é",
            " ",
        ];
        let right = [
            "{\"time\": \"2020-01-01\", \"T1\": 1.5, \"n\": null}\n{\"time\": \"2020-01-02\", \"p\": 7}\n",
            "{\"ts\": 1577836800, \"series\": \"T1\", \"value\": 1}\n",
        ];
        input(PIECES, right.map(|text| text.as_bytes().to_vec()).to_vec())
    }

    fn paths() -> impl Strategy<Value = Vec<u8>> {
        const PIECES: &[&str] = &[
            "/",
            "a",
            "T1",
            "_",
            "1_s",
            "10_min",
            "mean",
            "mean_polar_deg",
            "#",
            "base=",
            "threshold=",
            "0.5",
            "&",
            "(",
            ")",
            "=",
            ",",
            "p",
            " ",
            "..",
            "é",
            "\0",
            "600_s_mean",
            "ä/",
            "2020-01-01",
            "T00:00Z",
            ":",
            "+01:00",
        ];
        let right = [
            "/a/b/T1/600_s_mean(p=1,q=x)#base=1_ms&threshold=0.5",
            "/plant/mast/T1/10_ms",
            "2020-02-29T23:59:59.9999999Z",
        ];
        input(PIECES, right.map(|text| text.as_bytes().to_vec()).to_vec())
    }

    fn tables() -> impl Strategy<Value = Vec<u8>> {
        const PIECES: &[&str] = &[
            "time,T1,T2\n",
            "\n",
            "\r\n",
            "\r",
            ",",
            ";",
            "\t",
            "\"",
            "2020-01-01T00:00:00Z",
            "2020-02-30",
            "24:00",
            "1577836800",
            "43831.5",
            "1,5",
            "1.5e308",
            "NaN",
            "-",
            "#",
            "\u{feff}",
            "\0",
            "T1 (°C)",
            "series,time,value\n",
            "-0",
            "0x10",
            "12:00:00",
            "01.02.2020 03:04",
            "9999-12-31",
            "0001-01-01",
            "é",
            " ",
        ];
        let wide = "time,T1 (°C),n\n2020-01-01T00:00:00Z,1.5,3\n2020-01-01T00:00:01Z,,4\n2020-01-01T00:00:02Z,2.5,5\n";
        let long =
            "series;time;value\nT1;01.01.2020 00:00;1,5\nT2;01.01.2020 00:00;2,5\nT1;01.01.2020 00:15;3\n";
        let excel = "Datum\tWert\n43831.0\t1\n43831.5\t2\n43832.0\t3\n";
        input(PIECES, [wide, long, excel].map(|text| text.as_bytes().to_vec()).to_vec())
    }

    fn encoded_states() -> Vec<Vec<u8>> {
        let values: Vec<i32> = (0..100).map(|n| n * 37 % 19 - 5).collect();
        let encode = |family| {
            let grid = Grid::new(20, 3).unwrap();
            StateVec::fold(family, SampleRun::new(&values).into(), grid).unwrap().encode()
        };
        Family::ALL.into_iter().map(encode).collect()
    }

    /// A page of one vector: decimals of one place, an exception among them.
    fn page() -> Vec<u8> {
        let mut page = vec![0, 0, 10];
        page.extend(64_i32.to_le_bytes());
        page.extend(4_u32.to_le_bytes());
        page.extend([14, 13]);
        page.extend(1_u16.to_le_bytes());
        page.extend(100_u64.to_le_bytes());
        page.push(5);
        page.extend([0b1010_0110; 40]);
        page.extend(7_u16.to_le_bytes());
        page.extend(f64::NAN.to_le_bytes());
        page
    }

    #[test]
    fn the_page_is_right_until_it_is_damaged() {
        let values =
            sheaf_store::testing::decode_alp(&page(), 64, sheaf_kernels::Level::best(), 0..64).unwrap();
        assert!(values[7].is_nan());
        assert!(
            values.iter().enumerate().all(|(at, value)| at == 7 || (10.0..13.2).contains(value)),
            "{values:?}"
        );
    }

    proptest! {
        #[test]
        fn resource_path(bytes in paths()) {
            sheaf_fuzz::resource_path(&bytes);
        }

        #[test]
        fn csv(bytes in tables()) {
            sheaf_fuzz::csv(&bytes);
        }

        #[test]
        fn parquet(bytes in input(&["PAR1", "\0", "\x15", "\x19", "schema"], vec![b"PAR1PAR1".to_vec()])) {
            sheaf_fuzz::parquet(&bytes);
        }

        #[test]
        fn json_lines(bytes in json()) {
            sheaf_fuzz::json_lines(&bytes);
        }

        #[test]
        fn arrow(bytes in input(&["\u{7f}", "\0", "\x10", "\x04", "ARROW1"], vec![
            b"\xFF\xFF\xFF\xFF\x10\0\0\0\x0c\0\0\0\x08\0\x08\0\0\0\x04\0\x08\0\0\0".to_vec(),
            b"ARROW1\0\0\xFF\xFF\xFF\xFF\0\0\0\0".to_vec(),
        ])) {
            sheaf_fuzz::arrow(&bytes);
        }

        #[test]
        fn states(bytes in input(&["\0", "\x01", "\u{7f}"], encoded_states())) {
            sheaf_fuzz::states(&bytes);
        }

        #[test]
        fn alp(bytes in input(&["\0", "\x0a", "\x40"], vec![page()])) {
            sheaf_fuzz::alp(&bytes);
        }
    }
}
