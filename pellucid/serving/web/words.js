// What the page says, in two languages.

const WORDS = {
  en: {
    language: "中文", prompt: "What to make", promptHint: "in your own words", begins: "What it begins with",
    beginsHint: "may stay empty", source: "From this text", label: "Kind", any: "any", all: "each in turn",
    given: "What is known", givenHint: "What you give stays as it is; the rest is made to go with it.",
    count: "How many", steps: "Steps", guidance: "Guidance", seed: "Seed", dice: "Another", make: "Make", stop: "Stop",
    compareGuidance: "Guidance side by side", compareStrength: "Noise strength side by side",
    empty: "Noise goes in. What comes out appears here.", journey: "From noise to data", play: "Play", pause: "Pause",
    editing: "Edit a picture",
    editingHint: "Open a picture, or press Edit below one. Paint over what is to be made new; or see it noised more and more, and made clean again.",
    open_picture: "Open a picture", open_sound: "Open a sound", brush: "Brush", clear: "Clear", fill: "Fill in", easel: "Paint here",
    completing_series: "What comes next, what is missing", completing_video: "Go on from a film", completing_text: "Go on, or fill gaps",
    hint_series: "A table (CSV, TSV or Parquet) with the columns {0}. Bands hold nine of ten versions.",
    hint_video: "A film (mp4, webm, gif, webp), or one from above by its button Go on.",
    hint_text: "Write how it begins; or a whole text in which each _ stands for one unknown token: a letter, or a few.",
    more_series: "Rows to add", more_video: "Frames to add", more_text: "Tokens to add",
    openFile: "Open a file", continue: "Go on", impute: "Fill gaps", continued: "with {0} more", imputed: "gaps filled",
    key: "The server asks for a key", enter: "Enter",
    waiting: "waiting for a turn", step: "step {0} of {1}", took: "{0} s · {1} network calls · seed {2}",
    download: "Download", edit: "Edit", copy: "Copy", copied: "Copied", frame: "Frame",
    image: "pictures {1} × {0}", video: "films {2} × {1}, {0} frames", sound: "sounds", series: "series of {0} columns, {1} rows",
    text: "texts", answers: "texts from texts", joint: "{0} together", scan: "scans {0}",
    part_picture: "picture", part_sound: "sound", part_text: "text", write_text: "Text", and: " + ", api: "HTTP API",
    strength: "noise strength {0}", weight: "guidance {0}",
    lost: "The server cannot be reached. Is it still running?", stopped: "Stopped.", refused: "{0}",
    busy: "Too much is waiting on the server. Try again in a moment.", late: "It took longer than the server allows.",
    closing: "The server is shutting down.", large: "The file is larger than the server takes.",
    fault: "Something is wrong in the server; its log tells what.", noPicture: "This file cannot be opened as a picture.",
    needsPrompt: "Guidance leads towards something: say first what to make.",
  },
  zh: {
    language: "English", prompt: "想要什么", promptHint: "用自己的话描述", begins: "开头",
    beginsHint: "可以留空", source: "原文", label: "类别", any: "任意", all: "依次每类",
    given: "已知部分", givenHint: "给出的部分保持不变，其余部分与之相配地生成。",
    count: "数量", steps: "步数", guidance: "引导强度", seed: "种子", dice: "换一个", make: "生成", stop: "停止",
    compareGuidance: "并排比较引导强度", compareStrength: "并排比较噪声强度",
    empty: "噪声进去，结果出现在这里。", journey: "从噪声到数据", play: "播放", pause: "暂停",
    editing: "修改图片",
    editingHint: "打开一张图片，或点击图片下方的“修改”。涂抹要重新生成的部分；也可以比较加不同强度的噪声后重新生成的结果。",
    open_picture: "打开图片", open_sound: "打开声音", brush: "画笔", clear: "清除", fill: "填充", easel: "在这里涂抹",
    completing_series: "预测与补缺", completing_video: "续写影片", completing_text: "续写或补缺",
    hint_series: "含有以下各列的表格（CSV、TSV 或 Parquet）：{0}。色带包含十分之九的可能。",
    hint_video: "一段影片（mp4、webm、gif、webp），或点击上方影片的“继续”。",
    hint_text: "写下开头；或写下整段文字，其中每个 _ 代表一个未知的词元（一个或几个字符）。",
    more_series: "增加行数", more_video: "增加帧数", more_text: "增加词元数",
    openFile: "打开文件", continue: "继续", impute: "补缺", continued: "增加了 {0}", imputed: "已补缺",
    key: "服务器需要密钥", enter: "确定",
    waiting: "排队等待中", step: "第 {0} / {1} 步", took: "{0} 秒 · {1} 次网络计算 · 种子 {2}",
    download: "下载", edit: "修改", copy: "复制", copied: "已复制", frame: "帧",
    image: "图片 {1} × {0}", video: "影片 {2} × {1}，{0} 帧", sound: "声音", series: "时间序列，{0} 列 {1} 行",
    text: "文本", answers: "由文本生成文本", joint: "{0} 一起生成", scan: "医学影像 {0}",
    part_picture: "图片", part_sound: "声音", part_text: "文字", write_text: "文字", and: "、", api: "HTTP 接口",
    strength: "噪声强度 {0}", weight: "引导 {0}",
    lost: "无法连接服务器，它还在运行吗？", stopped: "已停止。", refused: "服务器无法处理：{0}",
    busy: "服务器上等待的请求太多，请稍后再试。", late: "用时超过了服务器的限制。",
    closing: "服务器正在关闭。", large: "文件超过了服务器允许的大小。",
    fault: "服务器内部出错，详情见其日志。", noPicture: "此文件无法作为图片打开。",
    needsPrompt: "引导需要一个目标：请先写下想要什么。",
  },
};

let language = navigator.language.startsWith("zh") ? "zh" : "en";

export function say(word, ...values) {
  return (WORDS[language][word] ?? word).replace(/\{(\d)\}/g, (_, place) => values[place]);
}

export function translate() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = say(element.dataset.word);
  document.getElementById("language").lang = language === "en" ? "zh" : "en";
}

export function other() {
  language = language === "en" ? "zh" : "en";
  translate();
}
