# ruff: noqa: E501 miniatures are easier to read in one line each
"""Miniatures of published datasets as their files come: what must arrive of each."""

from __future__ import annotations

from tests.support.layout_folder import TWO, V
from tests.support.miniatures import CATS, IN_VIDEOS, Layout, lines

OF_DATASETS: dict[str, Layout] = {
    "29 OpenVid-1M": Layout(
        {
            **IN_VIDEOS,
            "OpenVid-1M.csv": "video,caption,aesthetic score,motion score,temporal consistency score,frame,fps,seconds\n"
            "a.mp4,a cat,5.5,3.25,1,24,8,3\nb.mp4,a dog,4.5,1.0,1,24,8,3\ngone.mp4,a cow,4.5,1.0,1,24,8,3\n",
        },
        CATS,
        numbers={"a.mp4": {"aesthetic score": 5.5, "motion score": 3.25, "temporal consistency score": 1.0}},
    ),
    "30 MiraData": Layout(
        {
            "v/0/a.mp4": V,
            "miradata.csv": "clip_id,video_id,fps,timestamp,file_path,short_caption,dense_caption,"
            "background_caption,main_object_caption,style_caption,camera_caption\n"
            "0,x,8,\"['0:01:00.0', '0:01:03.0']\",v/0/a.mp4,a cat,a cat that sits,a,b,c,d\n",
        },
        {"v/0/a.mp4": ["a cat that sits", "a cat", "a", "b", "c", "d"]},
        groups={"v/0/a.mp4": "x"},
    ),
    "31 Koala-36M": Layout(
        {
            "videos/yt.mp4": V, "videos/other.mp4": V,
            "Koala_36M_1.csv": "videoID,url,timestamp,caption,clarity_score,aesthetic_score,motion_score,video_training_suitability_score\n"
            "yt,u,\"['0:00:01.0', '0:00:05.0']\",a cat,0.5,1,2,3\nother,u,\"['0:00:00.5', '0:00:02.0']\",a dog,0.7,1,2,3\n",
        },
        {"other#t=0.5,2": ["a dog"], "yt#t=1,5": ["a cat"]},
        spans={"yt#t=1,5": (1.0, 5.0), "other#t=0.5,2": (0.5, 2.0)},
    ),
    "32 InternVid": Layout(
        {
            "A.mp4": V,
            "InternVid.jsonl": lines({
                "YoutubeID": "A", "Start_timestamp": "00:00:19.186", "End_timestamp": "00:00:36.687",
                "Caption": "a cat", "UMT_Score": 0.4, "Aesthetic_Score": 4.5,
            }),
        },
        {"A#t=19.186,36.687": ["a cat"]}, spans={"A#t=19.186,36.687": (19.186, 36.687)},
        numbers={"A#t=19.186,36.687": {"UMT_Score": 0.4, "Aesthetic_Score": 4.5}},
    ),
    "33 HD-VILA-100M": Layout(
        {
            "A.mp4": V,
            "hdvila.jsonl": lines({
                "video_id": "A", "url": "u",
                "clip": [{"clip_id": "A.0.mp4", "span": ["00:00:01.000", "00:00:04.500"]},
                         {"clip_id": "A.1.mp4", "span": ["00:00:17.759", "00:00:23.279"]}],
            }),
        },
        {"A#t=1,4.5": [], "A#t=17.759,23.279": []}, spans={"A#t=1,4.5": (1.0, 4.5), "A#t=17.759,23.279": (17.759, 23.279)},
    ),
    "34 VidGen-1M": Layout(
        {
            "N-Scene-0013.mp4": V, "N-Scene-0014.mp4": V,
            "VidGen.json": [{"vid": "N-Scene-0013", "caption": "a cat"}, {"vid": "N-Scene-0014", "caption": "a dog"}],
        },
        {"N-Scene-0013": ["a cat"], "N-Scene-0014": ["a dog"]},
    ),
    "35 ShareGPT4Video": Layout(
        {
            "p/a.mp4": V,
            "s.jsonl": lines({
                "video_id": "a", "video_path": "p/a.mp4", "zip_folder": "p_1.zip",
                "captions": [{"idx": "0", "content": "first"}, {"idx": "-1", "content": "a cat, all of it"}],
            }),
        },
        {"p/a.mp4": ["a cat, all of it"]},
    ),
    "36 Vript": Layout(
        {
            "clips/X/X-Scene-001.mp4": V,
            "captions/X_caption.json": {
                "meta": {"video_id": "X"},
                "data": {"X-Scene-001": {"clip_id": "X-Scene-001", "caption": {"shot_type": "wide", "content": "a cat"}}},
            },
        },
        {"X/X-Scene-001": ["a cat"]},
    ),
    "37 MMTrail": Layout(
        {
            "c/a.mp4": V,
            "m.json": [{"basic": {"clip_path": "c/a.mp4", "aesthetic_score": 4.5},
                        "scene": {"caption": "a cat", "merge_caption": "a cat in a room"}}],
        },
        {"c/a.mp4": ["a cat", "a cat in a room"]}, numbers={"c/a.mp4": {"basic.aesthetic_score": 4.5}},
    ),
    "37 Shot2Story": Layout(
        {
            "w.mp4": V, "s1.mp4": V, "s2.mp4": V,
            "20k.json": [{"video": "w.mp4", "whole_caption": "all", "video_names": ["s1.mp4", "s2.mp4"],
                          "captions": ["a cat", "a dog"]}],
        },
        {"s1.mp4": ["a cat"], "s2.mp4": ["a dog"]}, groups={"s1.mp4": "w.mp4", "s2.mp4": "w.mp4"},
    ),
    "38 MSR-VTT": Layout(
        {
            "videos/video0.mp4": V, "videos/video1.mp4": V,
            "train_val_videodatainfo.json": {
                "info": {"year": "2016"},
                "videos": [{"id": 0, "video_id": "video0", "split": "train", "start time": 1.0, "end time": 2.0},
                           {"id": 1, "video_id": "video1", "split": "validate", "start time": 1.0, "end time": 2.0}],
                "sentences": [{"sen_id": 0, "video_id": "video0", "caption": "a cat"},
                              {"sen_id": 1, "video_id": "video1", "caption": "a dog"},
                              {"sen_id": 2, "video_id": "video0", "caption": "a small cat"}],
            },
        },
        {"video0": ["a cat", "a small cat"], "video1": ["a dog"]}, splits={"video0": "train", "video1": "held_out"},
    ),
    "38 MSR-VTT, 1k-A": Layout(
        {
            "videos/video0.mp4": V,
            "MSRVTT_JSFUSION_test.csv": "key,vid_key,video_id,sentence\nret0,msr0,video0,a cat\nret1,msr0,video0,a big cat\n",
        },
        {"video0": ["a cat", "a big cat"]},
    ),
    "39 VATEX": Layout(
        {
            "Q_000001_000011.mp4": V,
            "vatex.json": [{"videoID": "Q_000001_000011", "enCap": ["a cat", "a small cat"], "chCap": ["x"]}],
        },
        {"Q_000001_000011": ["a cat", "a small cat"]},
    ),
    "39 MSVD": Layout(
        {
            "v/Q_1_11.avi": V,
            "msvd.csv": "VideoID,Start,End,WorkerID,Source,Language,Description\n"
            "Q,1,11,1,clean,English,a cat\nQ,1,11,2,clean,German,eine Katze\nQ,1,11,3,clean,English,a small cat\n",
        },
        {"Q_1_11": ["a cat", "a small cat"]},
    ),
    "39 ActivityNet Captions": Layout(
        {
            "v_A.mp4": V, "v_B.mp4": V, "v_C.mp4": V,
            "train.json": {
                "v_A": {"duration": 9.0, "timestamps": [[0.5, 4.0], [4.0, 8.0]], "sentences": ["a cat", "a dog"]},
                "v_B": {"duration": 9.0, "timestamps": [[1, 3]], "sentences": ["a cow"]},
                "v_C": {"duration": 9.0, "timestamps": [[2, 3]], "sentences": ["a hen"]},
            },
        },
        {"v_A#t=0.5,4": ["a cat"], "v_A#t=4,8": ["a dog"], "v_B#t=1,3": ["a cow"], "v_C#t=2,3": ["a hen"]},
        spans={"v_A#t=4,8": (4.0, 8.0)},
    ),
    "40 Something-Something v2": Layout(
        {
            "v/1.webm": V, "v/2.webm": V,
            "something-something-v2-train.json": [{"id": "1", "label": "lifting a cat", "template": "Lifting [x]", "placeholders": ["a cat"]}],
            "something-something-v2-validation.json": [{"id": "2", "label": "lifting a dog", "template": "Lifting [x]", "placeholders": ["a dog"]}],
        },
        {"1": ["lifting a cat"], "2": ["lifting a dog"]}, splits={"1": "train", "2": "held_out"},
    ),
    "27 WebVid, downloaded": Layout(
        {"videos/1-50/7.mp4": V, "results_2M_train.csv": "videoid,contentUrl,duration,page_dir,name\n7,https://h/7.mp4,PT00H00M07S,1-50,a cat\n"},
        {"1-50/7": ["a cat"]},
    ),
    "HowTo100M": Layout(
        {"A.mp4": V, "B.mp4": V, "caption.json": {
            "A": {"start": [1.0, 3.5], "end": [3.4, 6.0], "text": ["take a cat", "feed it"]},
            "B": {"start": [2], "end": [4], "text": ["a dog"]},
        }},
        {"A#t=1,3.4": ["take a cat"], "A#t=3.5,6": ["feed it"], "B#t=2,4": ["a dog"]},
        spans={"A#t=3.5,6": (3.5, 6.0)},
    ),
    "lists of events": Layout(
        {**TWO, "m.jsonl": lines(*({"video": name, "events": [[0, 2], [2, 4]], "captions": [f"{name} sits", f"{name} runs"]} for name in TWO))},
        {f"{name}#t={span}": [f"{name} {verb}"] for name in TWO for span, verb in (("0,2", "sits"), ("2,4", "runs"))},
        spans={"a.mp4#t=2,4": (2.0, 4.0)},
    ),
}  # fmt: skip
